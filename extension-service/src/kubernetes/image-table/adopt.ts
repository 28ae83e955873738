import type { Config } from '../../core/config/model.js';
import { policyHash } from '../../core/engines/config-hashes.js';
import { decidedTargets } from '../../core/engines/for-config.js';
import { mutatingAdmissionPolicy } from '../../core/engines/mutating-admission-policy/engine.js';
import { policyNames } from '../../core/engines/mutating-admission-policy/names.js';
import { readTable } from '../../core/engines/mutating-admission-policy/read-table.js';
import { CONFIG_HASH_ANNOTATION } from '../../core/policies/config-hash.js';
import { namingTarget } from '../../kinds/registry-naming.js';
import type { Owner } from '../managed-policies/owner.js';
import { isOwned, kindOf } from '../managed-policies/policy-objects.js';
import type { PolicyObjects } from '../managed-policies/policy-objects.js';
import type { MirroredImages } from './mirrored-images.js';

export interface AdoptOptions {
  readonly images: MirroredImages;
  readonly objects: PolicyObjects;
  readonly config: Config;
  readonly owner: Owner;
}

/**
 * Continues with the table in the cluster: a new leader has not queried any target yet, and must not write less than
 * its predecessor knew. Policies of another configuration name their targets differently and are ignored.
 *
 * @throws PolicyObjectError
 */
export async function adoptTables({ images, objects, config, owner }: AdoptOptions): Promise<void> {
  const targets = decidedTargets(config, namingTarget);
  const hash = policyHash(config, mutatingAdmissionPolicy, namingTarget);
  const kind = kindOf({ kind: 'MutatingAdmissionPolicy' });
  for (const [index, name] of policyNames(config.policies.name).entries()) {
    const live = await objects.whole(kind, name);
    if (live === undefined || !isOwned(live, owner.labels)) continue;
    if (live.metadata.annotations?.[CONFIG_HASH_ANNOTATION] !== hash) continue;
    images.adopt(index === 0 ? 'large' : 'recent', readTable(live, targets), config);
  }
}
