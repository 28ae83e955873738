import type { Config } from '../../core/config/model.js';
import { ownerOf } from './owner.js';
import { kindsFor } from './policy-objects.js';
import type { PolicyKind, PolicyObjects } from './policy-objects.js';
import { messageOf } from '../../util/message-of.js';
import { sleep } from '../../util/sleep.js';

export interface Deleted {
  /** `KIND NAME`, each once. */
  readonly objects: readonly string[];
  /** Objects that could not be deleted, or were recreated. */
  readonly problems: readonly string[];
}

/** Delay in milliseconds between two checks, and their number: a stopping replica may finish its current pass. */
const RETRY = { pause: 2_000, times: 5 };

/** Deletes every policy that replicas with this Lease manage, until none comes back. */
export async function deleteManaged(
  objects: PolicyObjects,
  config: Pick<Config, 'lease' | 'policies'>,
  namespace: string,
): Promise<Deleted> {
  const { labels } = ownerOf(config, namespace);
  const deleted = new Set<string>();
  let problems: readonly string[] = [];
  let last: readonly string[] = [];
  for (let time = 1; time <= RETRY.times; time += 1) {
    ({ names: last, problems } = await deleteOnce(objects, kindsFor(config.policies), labels, config.policies.name));
    for (const name of last) deleted.add(name);
    if (last.length === 0 || problems.length > 0) break;
    await sleep(RETRY.pause);
  }
  const back =
    last.length > 0 && problems.length === 0
      ? [`${last.join(', ')}: recreated while being deleted: stop the service first`]
      : [];
  return { objects: [...deleted], problems: [...problems, ...back] };
}

async function deleteOnce(
  objects: PolicyObjects,
  kinds: readonly PolicyKind[],
  labels: Readonly<Record<string, string>>,
  policyName: string,
): Promise<{ readonly names: readonly string[]; readonly problems: readonly string[] }> {
  const names: string[] = [];
  const problems: string[] = [];
  for (const kind of kinds) {
    try {
      for (const object of await objects.managedObjects(kind, labels, policyName)) {
        await objects.remove(kind, object);
        names.push(`${kind.kind} ${object.metadata.name}`);
      }
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  return { names, problems };
}
