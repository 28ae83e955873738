/** The behavior of a generated ClusterPolicy when a Pod is created, step by step, from its own YAML. */
interface ClusterPolicy {
  readonly spec: {
    readonly rules: readonly {
      readonly name: string;
      readonly context: readonly {
        readonly apiCall?: {
          readonly method: string;
          readonly data: readonly { readonly key: string; readonly value: string }[];
          readonly service: {
            readonly url: string;
            readonly caBundle?: string;
            readonly headers?: readonly { readonly key: string; readonly value: string }[];
          };
        };
      }[];
    }[];
  };
}

export interface PolicyCall {
  readonly url: string;
  readonly ca: string | undefined;
  readonly headers: Record<string, string>;
  /** The body for an AdmissionRequest. */
  body(request: unknown): string;
}

/** Reads the service call out of the policy's `swap` rule: URL, CA, headers and the form of the body. */
export function policyCall(policy: unknown): PolicyCall {
  const rule = (policy as ClusterPolicy).spec.rules.find(({ name }) => name === 'swap');
  const call = rule?.context.flatMap(({ apiCall }) => (apiCall === undefined ? [] : [apiCall]))[0];
  if (call === undefined) throw new Error('the generated ClusterPolicy has no rule "swap" with a service call');
  return {
    url: call.service.url,
    ca: call.service.caBundle,
    headers: Object.fromEntries((call.service.headers ?? []).map(({ key, value }) => [key, value])),
    body: (request) =>
      JSON.stringify(Object.fromEntries(call.data.map(({ key, value }) => [key, substitute(value, request)]))),
  };
}

function substitute(template: string, request: unknown): string {
  if (template !== '{{ to_string(request) }}') throw new Error(`the demo does not know the template ${template}`);
  return JSON.stringify(request);
}

interface ImagePatch {
  readonly op: string;
  readonly path: string;
  readonly value: string;
}

/** Applies the answer's patches as the policy does: only replaced images that begin with a target. */
export function applyPatches(pod: unknown, answer: unknown, targets: readonly string[]): unknown {
  const patched = structuredClone(pod) as Record<string, Record<string, { image: string | { reference: string } }[]>>;
  for (const { op, path, value } of (answer as { patches: ImagePatch[] }).patches) {
    const place =
      /^\/spec\/(?:(containers|initContainers|ephemeralContainers)\/(\d+)\/image|(volumes)\/(\d+)\/image\/reference)$/.exec(
        path,
      );
    const entry = patched['spec']?.[place?.[1] ?? place?.[3] ?? '']?.[Number(place?.[2] ?? place?.[4])];
    if (op !== 'replace' || entry === undefined || !targets.some((target) => value.startsWith(target))) continue;
    if (typeof entry.image === 'string') entry.image = value;
    else entry.image.reference = value;
  }
  return patched;
}
