import fc from 'fast-check';

/** Filters on fields that engines can read, with errors and other fields in between, and Pods as admitted. */

const WORDS = ['', 'a', 'kube-system', 'team-a', 'true', 'docker.io/library/nginx:1', 'añ😀', "it's", 'a"b', 'a-dev'];
const LABELS = ['app', 'app.kubernetes.io/name', 'tier', 'constructor', '__proto__'];
const word = fc.constantFrom(...WORDS);
const filled = fc.constantFrom(...WORDS.filter((text) => text !== ''));
const raw = (text: string): string => `'${text.replaceAll("'", "\\'")}'`;

const field = fc.oneof(
  fc.constantFrom(
    'obj.metadata.namespace',
    'obj.metadata.name',
    'obj.metadata.generateName',
    'obj.spec.serviceAccountName',
    'obj.spec.nodeName',
    'container.name',
    'container.image',
  ),
  fc
    .tuple(fc.constantFrom('labels', 'annotations'), fc.constantFrom(...LABELS))
    .map(([map, key]) => `obj.metadata.${map}."${key}"`),
  // Filters on these fields must not be pushed down.
  fc.constantFrom('obj.spec.hostNetwork', 'obj.spec', 'container.ports', 'obj', 'obj.metadata.labels.a.b'),
);
const literal = fc.oneof(
  word.map(raw),
  fc.constantFrom('`true`', '`false`', '`null`', '`1`', '`"a"`', 'null', '`["a", "team-a"]`', '`[]`', '`["a", 1]`'),
);

/** An expression that may be true, false, another value or an error. */
export const filterExpression: fc.Arbitrary<string> = fc.letrec<{ node: string; leaf: string }>((tie) => ({
  leaf: fc.oneof(
    field,
    literal,
    fc.tuple(field, fc.constantFrom('==', '!=', '<'), literal).map((parts) => parts.join(' ')),
    fc.tuple(literal, fc.constantFrom('==', '!='), field).map((parts) => parts.join(' ')),
    fc
      .tuple(
        fc.constantFrom('starts_with', 'ends_with', 'contains'),
        fc.oneof(field, literal),
        fc.oneof(word.map(raw), field),
      )
      .map(([name, first, second]) => `${name}(${first}, ${second})`),
    // These expressions check the field first, so that they cannot fail.
    fc
      .tuple(field, fc.constantFrom('starts_with', 'ends_with', 'contains'), word.map(raw))
      .map(([path, name, text]) => `${path} && ${name}(${path}, ${text})`),
    fc
      .tuple(field, fc.constantFrom('starts_with', 'ends_with', 'contains'), word.map(raw))
      .map(([path, name, text]) => `!(${path}) || ${name}(${path}, ${text})`),
  ),
  node: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'filter' },
    tie('leaf'),
    tie('node').map((operand) => `!(${operand})`),
    fc.tuple(tie('node'), fc.constantFrom('&&', '||'), tie('node')).map(([a, op, b]) => `(${a}) ${op} (${b})`),
  ),
})).node;

const wordMap = fc.dictionary(fc.constantFrom(...LABELS), word, { maxKeys: 3 });
const container = fc.record({ name: filled, image: filled }, { requiredKeys: ['image'] });

export interface AdmittedPod {
  readonly metadata: { readonly namespace: string; readonly [key: string]: unknown };
  readonly spec: { readonly containers: readonly { readonly image: string; readonly name?: string }[] };
}

/** A Pod as the API server writes it: without empty fields, except for values of labels and annotations. */
export const admittedPod: fc.Arbitrary<AdmittedPod> = fc.record({
  metadata: fc.record(
    { namespace: filled, name: filled, generateName: filled, labels: wordMap, annotations: wordMap },
    { requiredKeys: ['namespace'] },
  ),
  spec: fc.record(
    {
      containers: fc.array(container, { minLength: 1, maxLength: 3 }),
      serviceAccountName: filled,
      nodeName: filled,
      hostNetwork: fc.boolean(),
    },
    { requiredKeys: ['containers'] },
  ),
});

const aboutNamespace = fc.oneof(
  fc
    .tuple(fc.constantFrom('==', '!='), fc.constantFrom('a', 'kube-system', 'team-a', 'a-dev'))
    .map(([operator, name]) => `obj.metadata.namespace ${operator} '${name}'`),
  fc
    .tuple(fc.constantFrom('starts_with', 'ends_with', 'contains'), fc.constantFrom('a', 'kube-', '-dev', 'team'))
    .map(([name, text]) => `${name}(obj.metadata.namespace, '${text}')`),
);
const labelTest = fc.constantFrom("== 'a'", "!= 'true'", "!= 'a'", '!= null', '== null', "== ''", 'IN');
const aboutLabel = (key: string): fc.Arbitrary<string> =>
  labelTest.map((test) =>
    test === 'IN'
      ? `contains(\`["a", "true"]\`, obj.metadata.labels."${key}")`
      : `obj.metadata.labels."${key}" ${test}`,
  );

/** Typical filters, most of which Gatekeeper can express. */
const sayable = fc.oneof(
  aboutNamespace,
  fc.constantFrom('app', 'tier', 'app.kubernetes.io/name').chain(aboutLabel),
  filterExpression,
);

/** Several conditions on one field. One condition can make another redundant or impossible. */
const aboutOneField = fc
  .constantFrom(aboutNamespace, aboutLabel('app'))
  .chain((condition) =>
    fc
      .tuple(
        fc.array(fc.tuple(condition, fc.boolean()), { minLength: 2, maxLength: 5 }),
        fc.constantFrom(' && ', ' || '),
      )
      .map(([conditions, join]) => conditions.map(([text, negated]) => (negated ? `!(${text})` : text)).join(join)),
  );

export const gatekeeperFilter = fc.oneof(
  { weight: 2, arbitrary: sayable },
  { weight: 2, arbitrary: aboutOneField },
  {
    weight: 3,
    arbitrary: fc
      .tuple(sayable, fc.constantFrom('&&', '||'), sayable, fc.boolean())
      .map(([a, operator, b, negated]) => `${negated ? '!' : ''}((${a}) ${operator} (${b}))`),
  },
);
