// Writes test/fixtures/crds/*.json: closed JSON schemas of the objects that the renderers emit. The schemas come from
// the CRDs in the engines' Go modules, at the versions that the go.mod files in test/tools pin.
//   node test/tools/kyverno/crds.mjs            writes the files
//   node test/tools/kyverno/crds.mjs --check    exits 1 if a file differs
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

const tools = fileURLToPath(new URL('../', import.meta.url));
const fixtures = fileURLToPath(new URL('../../fixtures/crds/', import.meta.url));

const KYVERNO = [
  { file: 'config/crds/policies.kyverno.io/policies.kyverno.io_mutatingpolicies.yaml', version: 'v1' },
  { file: 'config/crds/kyverno/kyverno.io_clusterpolicies.yaml', version: 'v1' },
];

const GATEKEEPER = [
  { file: 'charts/gatekeeper/crds/provider-customresourcedefinition.yaml', version: 'v1beta1' },
  { file: 'charts/gatekeeper/crds/assign-customresourcedefinition.yaml', version: 'v1' },
];

/** MutatingWebhookConfiguration does not have a CRD; its schema is in the OpenAPI document of Kubernetes. */
const WEBHOOK = [
  {
    openapi: 'api/openapi-spec/v3/apis__admissionregistration.k8s.io__v1_openapi.json',
    schema: 'io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration',
    group: 'admissionregistration.k8s.io',
    kind: 'MutatingWebhookConfiguration',
    version: 'v1',
  },
];

const SOURCES = [
  { tool: 'kyverno', module: 'github.com/kyverno/kyverno', crds: KYVERNO },
  { tool: 'kyverno-1.18', module: 'github.com/kyverno/kyverno', crds: KYVERNO, suffix: '-kyverno-1.18' },
  { tool: 'kyverno-1.17', module: 'github.com/kyverno/kyverno', crds: KYVERNO.slice(1), suffix: '-kyverno-1.17' },
  { tool: 'kyverno-1.13', module: 'github.com/kyverno/kyverno', crds: KYVERNO.slice(1), suffix: '-kyverno-1.13' },
  { tool: 'gatekeeper', module: 'github.com/open-policy-agent/gatekeeper/v3', crds: GATEKEEPER },
  {
    tool: 'gatekeeper-3.23',
    module: 'github.com/open-policy-agent/gatekeeper/v3',
    crds: GATEKEEPER,
    suffix: '-gatekeeper-3.23',
  },
  { tool: 'kubernetes', module: 'k8s.io/kubernetes', crds: WEBHOOK },
  { tool: 'kubernetes-1.28', module: 'k8s.io/kubernetes', crds: WEBHOOK, suffix: '-kubernetes-1.28' },
];

const METADATA = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 253 },
    labels: { type: 'object', additionalProperties: { type: 'string', maxLength: 63 } },
    annotations: { type: 'object', additionalProperties: { type: 'string' } },
  },
  required: ['name'],
  additionalProperties: false,
};

/** Converts an OpenAPI v3 structural schema to JSON Schema that refuses the fields that the API server would drop. */
function close(schema) {
  if (schema['x-kubernetes-int-or-string']) return { anyOf: [{ type: 'integer' }, { type: 'string' }] };
  const result = {};
  const copied = [
    'enum',
    'required',
    'pattern',
    'minimum',
    'maximum',
    'minLength',
    'maxLength',
    'minItems',
    'maxItems',
  ];
  for (const key of copied) if (schema[key] !== undefined) result[key] = schema[key];
  if (schema.type !== undefined) result.type = schema.nullable ? [schema.type, 'null'] : schema.type;
  if (schema.items !== undefined) result.items = close(schema.items);
  if (schema.properties !== undefined) result.properties = map(schema.properties, close);
  if (schema.type === 'object' && !schema['x-kubernetes-preserve-unknown-fields']) {
    const { additionalProperties } = schema;
    result.additionalProperties =
      typeof additionalProperties === 'object' ? close(additionalProperties) : (additionalProperties ?? false);
  }
  // These keywords of a structural schema only restrict fields that are declared outside, so they stay open.
  for (const key of ['allOf', 'anyOf', 'oneOf'])
    if (schema[key] !== undefined) result[key] = schema[key].map(restriction);
  if (schema.not !== undefined) result.not = restriction(schema.not);
  return result;
}

function restriction(schema) {
  const { description: _, ...rest } = schema;
  if (rest.properties !== undefined) rest.properties = map(rest.properties, restriction);
  if (rest.items !== undefined) rest.items = restriction(rest.items);
  return rest;
}

function map(object, change) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));
}

/** Moves repeated parts to `$defs`: Kyverno's schemas repeat a few large parts dozens of times. */
function share(root) {
  const counts = new Map();
  const count = (schema) => {
    const text = JSON.stringify(schema);
    const seen = counts.get(text) ?? 0;
    counts.set(text, seen + 1);
    if (seen === 0) children(schema, count);
    return schema;
  };
  count(root);
  const names = new Map();
  const $defs = {};
  const replace = (schema) => {
    const text = JSON.stringify(schema);
    if (text.length <= 200 || counts.get(text) === 1) return children(schema, replace);
    if (!names.has(text)) {
      const name = `shared${names.size + 1}`;
      names.set(text, name);
      $defs[name] = children(schema, replace);
    }
    return { $ref: `#/$defs/${names.get(text)}` };
  };
  return { ...children(root, replace), $defs };
}

/**
 * Applies `change` to each direct subschema. Only known keywords contain subschemas, because a property may also have
 * the name of a keyword, such as `type`.
 */
function children(schema, change) {
  const result = { ...schema };
  if (result.properties !== undefined) result.properties = map(result.properties, change);
  for (const key of ['items', 'not', 'additionalProperties']) {
    if (typeof result[key] === 'object') result[key] = change(result[key]);
  }
  for (const key of ['allOf', 'anyOf', 'oneOf']) if (result[key] !== undefined) result[key] = result[key].map(change);
  return result;
}

function* schemas() {
  for (const { tool, module, crds, suffix = '' } of SOURCES) {
    const output = execFileSync('go', ['mod', 'download', '-json', module], {
      cwd: `${tools}${tool}`,
      encoding: 'utf8',
    });
    const { Dir: directory, Version: moduleVersion } = JSON.parse(output);
    for (const crd of crds) {
      const { group, kind, version, schema } =
        crd.openapi === undefined ? ofCrd(directory, crd) : ofOpenApi(directory, crd);
      const { status: _, ...properties } = schema.properties;
      const closed = close({ ...schema, properties });
      closed.properties.apiVersion = { const: `${group}/${version}` };
      closed.properties.kind = { const: kind };
      closed.properties.metadata = METADATA;
      closed.required = ['apiVersion', 'kind', 'metadata', ...(properties.spec === undefined ? [] : ['spec'])];
      const title = `${kind} ${group}/${version} of ${module}@${moduleVersion}`;
      const text = `${JSON.stringify({ title, ...share(closed) }, undefined, 1)}\n`;
      yield { name: `${kind.toLowerCase()}-${version}${suffix}.json`, text };
    }
  }
}

function ofCrd(directory, { file, version }) {
  const [document] = parseAllDocuments(readFileSync(`${directory}/${file}`, 'utf8'));
  const { group, names, versions } = document.toJS().spec;
  const { openAPIV3Schema } = versions.find(({ name, served }) => name === version && served).schema;
  return { group, kind: names.kind, version, schema: openAPIV3Schema };
}

/** Reads a schema from an OpenAPI document and resolves its references. */
function ofOpenApi(directory, { openapi, schema, group, kind, version }) {
  const { schemas } = JSON.parse(readFileSync(`${directory}/${openapi}`, 'utf8')).components;
  const whole = (part) => {
    const reference = part.$ref ?? part.allOf?.[0].$ref;
    if (reference !== undefined) return whole(schemas[reference.replace('#/components/schemas/', '')]);
    return children(part, whole);
  };
  return { group, kind, version, schema: whole(schemas[schema]) };
}

const check = process.argv.includes('--check');
mkdirSync(fixtures, { recursive: true });
const stale = new Set(readdirSync(fixtures).filter((name) => name.endsWith('.json')));
let drift = 0;
for (const { name, text } of schemas()) {
  stale.delete(name);
  if (!check) {
    writeFileSync(`${fixtures}${name}`, text);
    console.log(`${name}: ${text.length} bytes`);
  } else if (!same(`${fixtures}${name}`, text)) {
    drift += 1;
    console.error(`test/fixtures/crds/${name} differs from the module: run node test/tools/kyverno/crds.mjs`);
  }
}
for (const name of stale) {
  drift += 1;
  console.error(`test/fixtures/crds/${name} has no source any more: remove it`);
}
process.exitCode = drift > 0 ? 1 : 0;

function same(path, text) {
  try {
    return readFileSync(path, 'utf8') === text;
  } catch (error) {
    if (error.code === 'ENOENT') return false;
    throw error;
  }
}
