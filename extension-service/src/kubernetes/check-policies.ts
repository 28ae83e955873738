import type { Config } from '../core/config/model.js';
import { engineOf } from '../core/engines/engines.js';
import type { ClusterAccess } from './api.js';
import { comparePolicies, findPolicies } from './compare-policies.js';
import type { ComparedPolicy, FoundPolicies } from './compare-policies.js';
import { kubernetesVersion } from './kubernetes-version.js';
import { PolicyObjects, kindOf, notServed } from './managed-policies/policy-objects.js';
import { policiesToCheck } from './managed-policies/check.js';
import { checkCall } from './policy-calls.js';

/** Compares the policies in the cluster with the configuration, and checks whether they can work there. */
export async function checkPolicies(
  cluster: ClusterAccess,
  config: Config,
  isInPod: boolean,
): Promise<readonly ComparedPolicy[]> {
  const objects = await PolicyObjects.connect(cluster);
  const found = await findPolicies(objects, config);
  const [unserved, calls] = await Promise.all([
    unservedKinds(cluster, objects, config),
    checkCalls(cluster, found, config, isInPod),
  ]);
  return [...comparePolicies(found, config), ...unserved, ...missingPolicies(found, config), ...calls];
}

/** Kinds that cannot be installed with the engine: those of the API server, and our own. */
async function unservedKinds(
  cluster: ClusterAccess,
  objects: PolicyObjects,
  { policies }: Config,
): Promise<readonly ComparedPolicy[]> {
  const engine = engineOf(policies);
  const needed = (engine?.kinds ?? []).filter(({ install }) => install !== undefined || engine?.decides.alone === true);
  const kinds = await Promise.all(
    needed.map(async (kind) => ((await objects.isServed(kindOf(kind))) === false ? [kind] : [])),
  );
  const [first] = kinds.flat();
  if (first === undefined) return [];
  if (engine?.decides.alone !== true)
    return kinds.flat().map((kind) => ({ policy: kind.kind, ok: false, message: notServed(kind) }));
  const version = await kubernetesVersion(cluster);
  const which = version === undefined ? '' : ` (Kubernetes ${version})`;
  return [{ policy: first.kind, ok: false, message: notServed(first).replace('the cluster', `the cluster${which}`) }];
}

/**
 * Reports objects that the configuration needs in addition to those in the cluster. Objects that users apply may have
 * other names.
 */
function missingPolicies(found: readonly FoundPolicies[], config: Config): readonly ComparedPolicy[] {
  const { manage } = config.policies;
  const needed = policiesToCheck(config);
  const ofKind = (kind: string): FoundPolicies | undefined => found.find((one) => one.kind.kind === kind);
  // Without any, `comparePolicies` says so.
  if (!needed.some(({ kind }) => (ofKind(kind)?.live.length ?? 0) > 0)) return [];
  const missing = needed.flatMap(({ kind, metadata: { name } }): readonly ComparedPolicy[] => {
    const { live = [], problem } = ofKind(kind) ?? {};
    if (problem !== undefined) return [];
    if (manage ? live.some(({ metadata }) => metadata.name === name) : live.length > 0) return [];
    const remedy = manage ? "see the leader's log" : 'apply the output of image-swapper policies';
    const policy = manage ? `${kind} ${name}` : kind;
    return [{ policy, ok: false, message: `is missing, and the other policies need it: ${remedy}` }];
  });
  return [...new Map(missing.map((one) => [one.policy, one])).values()];
}

async function checkCalls(
  cluster: ClusterAccess,
  found: readonly FoundPolicies[],
  { policies, tls }: Config,
  isInPod: boolean,
): Promise<readonly ComparedPolicy[]> {
  const checks = { now: new Date(), isInPod, ...(tls.mode === 'selfSigned' && { caConfigMap: tls.configMapName }) };
  const calls = (engineOf(policies)?.kinds ?? []).flatMap(({ kind, caHolder }) => {
    const live = found.find((one) => one.kind.kind === kind)?.live ?? [];
    return live.flatMap((object) =>
      (caHolder?.calls(object) ?? []).map((use) => ({ ...use, policy: `${kind} ${object.metadata.name}` })),
    );
  });
  return (await Promise.all(calls.map((call) => checkCall(cluster, call, checks)))).flat();
}
