import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';

/**
 * Closed schemas of the rendered objects, for the newest and the oldest versions of the engines and of Kubernetes.
 * `test/tools/kyverno/crds.mjs` generates them from the engines' modules.
 */
const SCHEMAS: Readonly<Record<string, readonly string[]>> = {
  'policies.kyverno.io/v1 MutatingPolicy': ['mutatingpolicy-v1', 'mutatingpolicy-v1-kyverno-1.18'],
  'kyverno.io/v1 ClusterPolicy': [
    'clusterpolicy-v1',
    'clusterpolicy-v1-kyverno-1.18',
    'clusterpolicy-v1-kyverno-1.17',
    'clusterpolicy-v1-kyverno-1.13',
  ],
  'externaldata.gatekeeper.sh/v1beta1 Provider': ['provider-v1beta1', 'provider-v1beta1-gatekeeper-3.23'],
  'mutations.gatekeeper.sh/v1 Assign': ['assign-v1', 'assign-v1-gatekeeper-3.23'],
  'admissionregistration.k8s.io/v1 MutatingWebhookConfiguration': [
    'mutatingwebhookconfiguration-v1',
    'mutatingwebhookconfiguration-v1-kubernetes-1.28',
  ],
};

const compiled = new Map<string, ValidateFunction>();

/** Problems of the object according to its CRD. Empty if the API server would store every field. */
export function crdProblems(object: { readonly apiVersion: string; readonly kind: string }): string[] {
  const type = `${object.apiVersion} ${object.kind}`;
  const files = SCHEMAS[type];
  if (files === undefined) return [`no CRD schema for ${type}`];
  return files.flatMap((file) => problemsBy(file, object));
}

function problemsBy(file: string, object: object): string[] {
  let validate = compiled.get(file);
  if (validate === undefined) {
    const url = new URL(`../../fixtures/crds/${file}.json`, import.meta.url);
    // A schema checks a few hundred objects, which does not pay for the optimizer.
    const ajv = new Ajv({ strict: false, allErrors: true, code: { optimize: false } });
    validate = ajv.compile(JSON.parse(readFileSync(url, 'utf8')) as object);
    compiled.set(file, validate);
  }
  // The JSON round trip removes undefined properties, as it does when the object is sent.
  validate(JSON.parse(JSON.stringify(object)));
  return (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${file}: ${instancePath || '/'} ${message} ${JSON.stringify(params)}`,
  );
}
