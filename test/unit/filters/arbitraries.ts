import fc from 'fast-check';
import { FUNCTIONS } from '../../../extension-service/src/core/filters/functions.js';
import type { ParameterType } from '../../../extension-service/src/core/filters/functions.js';

const oneOf = (...texts: readonly string[]): fc.Arbitrary<string> => fc.constantFrom(...texts);

const labelName = oneOf('app', 'app.kubernetes.io/name', 'tier', '10', 'constructor', '__proto__');
const word = oneOf(
  'nginx',
  'docker.io/library/redis:7',
  'kube-system',
  'a',
  'añ😀',
  '｡',
  "it's",
  '',
  '12',
  '1e3',
  '0x1p4',
  ' 5 ',
  'Inf',
);
const wordMap = fc.dictionary(labelName, word, { maxKeys: 3 });

const container = fc.record(
  {
    name: word,
    image: word,
    env: fc.array(fc.record({ name: word, value: word }, { requiredKeys: ['name'] }), { maxLength: 3 }),
    ports: fc.array(fc.record({ containerPort: fc.integer({ min: -1, max: 65_536 }) }), { maxLength: 3 }),
    resources: fc.record({ limits: wordMap }, { requiredKeys: [] }),
  },
  { requiredKeys: ['name', 'image', 'resources'] },
);

/** JSON as in an admission request, with empty, missing and null parts. */
export const filterContext = fc.record({
  obj: fc.record({
    metadata: fc.record(
      { name: word, namespace: word, labels: fc.option(wordMap), annotations: wordMap },
      { requiredKeys: ['namespace'] },
    ),
    spec: fc.record(
      {
        containers: fc.array(container, { maxLength: 4 }),
        initContainers: fc.array(container, { maxLength: 2 }),
        hostNetwork: fc.boolean(),
        priority: fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true })),
        nodeSelector: wordMap,
      },
      { requiredKeys: ['containers'] },
    ),
    status: fc.constant({}),
  }),
  container,
});

const rootPath = oneOf(
  'obj',
  'container',
  'obj.metadata',
  'obj.metadata.name',
  'obj.metadata.namespace',
  'obj.metadata.labels',
  'obj.metadata.labels."app.kubernetes.io/name"',
  'obj.metadata.labels.constructor',
  'obj.metadata.labels.__proto__',
  'obj.metadata.annotations',
  'obj.spec.containers',
  'obj.spec.containers[*]',
  'obj.spec.containers[].name',
  'obj.spec.[containers, initContainers][]',
  'obj.spec.hostNetwork',
  'obj.spec.priority',
  'obj.spec.nodeSelector.*',
  'obj.*',
  'obj.missing',
  'obj.toString',
  'container.image',
  'container.ports[*].containerPort',
  'container.env[].value',
  'container.resources.limits',
  '@',
  'obj.status',
);
const innerPath = oneOf(
  '@',
  'name',
  'image',
  '@.image',
  'value',
  'env',
  'env[*].name',
  'ports',
  'missing',
  'length(@)',
  'type(@)',
  '"app.kubernetes.io/name"',
);

const literal = oneOf(
  "'nginx'",
  "'it\\'s \\\\d'",
  "''",
  "'añ😀'",
  '`"nginx"`',
  '`1`',
  '`-0.5`',
  '`1e30`',
  '`true`',
  '`null`',
  '`[]`',
  '`{}`',
  '`[1, 2, 10]`',
  '`["b", "a", "｡", "😀"]`',
  '`{"app": "nginx", "__proto__": 1}`',
  '`[[1], [2, [3]]]`',
  '`"0x1p-2"`',
  '`"<&>\\u2028"`',
);

const element = oneOf(
  "not_null(@, 'x')",
  'length(@)',
  'type(@)',
  'to_string(@)',
  '[name, image]',
  '{n: name}',
  '*',
  'name',
);

/** Arguments of the right type, so that not every generated call fails. */
const TYPED: Readonly<Partial<Record<ParameterType, fc.Arbitrary<string>>>> = {
  string: oneOf(
    'container.image',
    'container.name',
    'obj.metadata.namespace',
    "'nginx'",
    "'a'",
    "'añ😀'",
    "'0x1p4'",
    'to_string(obj)',
  ),
  array: oneOf('obj.spec.containers[*]', 'obj.spec.containers[].name', 'container.ports[*]', '`[1, 2, "a", null]`'),
  object: oneOf('obj.metadata.annotations', 'obj.spec.nodeSelector || `{}`', 'container', '`{"a": 1, "app": null}`'),
  number: oneOf('`-1.5`', '`2`', 'length(obj.spec.containers)', "to_number('1e3')", 'obj.spec.priority'),
  numbers: oneOf(
    'container.ports[*].containerPort',
    '`[]`',
    '`[2, 10, -1, 0.5]`',
    'obj.spec.containers[*].length(name)',
  ),
  strings: oneOf(
    'obj.spec.containers[*].image',
    'obj.spec.containers[].env[].name',
    '`["b", "｡", "😀", "a"]`',
    'keys(container)',
  ),
};

const comparator = oneOf('==', '!=', '<', '<=', '>', '>=');
const logical = oneOf('||', '&&');
const slice = oneOf(
  '[0]',
  '[-1]',
  '[5]',
  '[1:]',
  '[:2]',
  '[::-1]',
  '[-2:10:2]',
  '[3:0:-2]',
  '[*]',
  '[]',
  '.*',
  '[::0]',
);

/** Mostly typical filters, sometimes anything that the grammar allows. Few names, so that the parts match often. */
const grammar = fc.letrec<{ expression: string; inner: string; call: string; argument: string }>((tie) => ({
  expression: fc.oneof(
    { maxDepth: 4, depthSize: 'small', withCrossShrink: true },
    rootPath,
    literal,
    fc.tuple(tie('expression'), comparator, tie('expression')).map((parts) => parts.join(' ')),
    fc.tuple(tie('expression'), logical, tie('expression')).map((parts) => parts.join(' ')),
    tie('expression').map((text) => `!${text}`),
    tie('expression').map((text) => `(${text})`),
    tie('call'),
    tie('call'),
    fc
      .tuple(rootPath, tie('inner'), oneOf('', '.image', '.name', '[0]', ' | length(@)', ' | [0]', '[]'))
      .map(([path, condition, rest]) => `${path}[?${condition}]${rest}`),
    fc.tuple(fc.oneof(rootPath, tie('call')), slice).map((parts) => parts.join('')),
    fc.tuple(rootPath, oneOf('[*].', '[].', '.*.', '[1:].', '.'), element).map((parts) => parts.join('')),
    fc.tuple(tie('expression'), tie('inner')).map((parts) => parts.join(' | ')),
    fc.tuple(rootPath, tie('inner'), tie('inner')).map(([path, a, b]) => `${path}.[${a}, ${b}]`),
    fc.tuple(tie('expression'), tie('expression')).map(([a, b]) => `{a: ${a}, "b c": ${b}, __proto__: ${a}}`),
  ),
  inner: fc.oneof(
    { maxDepth: 3, depthSize: 'small', withCrossShrink: true },
    innerPath,
    fc.tuple(innerPath, comparator, literal).map((parts) => parts.join(' ')),
    fc
      .tuple(oneOf('contains', 'starts_with', 'ends_with'), innerPath, literal)
      .map(([name, a, b]) => `${name}(${a}, ${b})`),
    fc.tuple(tie('inner'), logical, tie('inner')).map((parts) => parts.join(' ')),
    tie('inner').map((text) => `!(${text})`),
  ),
  call: fc.constantFrom(...FUNCTIONS).chain(([name, { parameters, variadic }]) =>
    fc
      .tuple(
        fc.tuple(
          ...parameters.map((types) =>
            types.includes('expression')
              ? tie('inner').map((text) => `&${text}`)
              : fc.oneof(...types.map((type) => ({ weight: 3, arbitrary: TYPED[type] ?? tie('argument') })), {
                  weight: 1,
                  arbitrary: tie('argument'),
                }),
          ),
        ),
        variadic ? fc.array(tie('argument'), { maxLength: 2 }) : fc.constant([]),
      )
      .map(([required, more]) => `${name}(${[...required, ...more].join(', ')})`),
  ),
  argument: fc.oneof(
    { weight: 3, arbitrary: rootPath },
    { weight: 2, arbitrary: literal },
    { weight: 1, arbitrary: tie('expression') },
  ),
}));

/** Well-formed expressions. */
export const expression: fc.Arbitrary<string> = grammar.expression;

const fragment = oneOf(
  '.',
  '..',
  '[',
  ']',
  '[?',
  '[]',
  '(',
  ')',
  '{',
  '}',
  ',',
  ':',
  '&',
  '&&',
  '|',
  '||',
  '!',
  '=',
  '==',
  '<',
  '*',
  '@',
  '-',
  '0',
  '`',
  "'",
  '"',
  '\\',
  ' ',
  '\r',
  'a',
  'é',
  '[*]',
  '{a: b}',
  "'x'",
);

/** A well-formed expression with one or two insertions, deletions or replacements, like typos. */
export const brokenExpression: fc.Arbitrary<string> = fc
  .tuple(
    expression,
    fc.array(fc.tuple(fc.nat(), fc.nat({ max: 3 }), fc.option(fragment, { nil: '' })), { minLength: 1, maxLength: 2 }),
  )
  .map(([text, edits]) =>
    edits.reduce((edited, [position, removed, added]) => {
      const at = position % (edited.length + 1);
      return edited.slice(0, at) + added + edited.slice(at + removed);
    }, text),
  )
  // An edit can split a surrogate pair. A file cannot contain such a text.
  .filter((text) => !/\p{Surrogate}/u.test(text));
