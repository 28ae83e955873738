import type { Config } from '../../core/config/model.js';
import { policyHash } from '../../core/engines/config-hashes.js';
import { decidedTargets } from '../../core/engines/for-config.js';
import { mutatingAdmissionPolicy } from '../../core/engines/mutating-admission-policy/engine.js';
import { policyNames } from '../../core/engines/mutating-admission-policy/names.js';
import { entriesHash, TABLE_HASH_ANNOTATION } from '../../core/engines/mutating-admission-policy/table-hash.js';
import { readTable } from '../../core/engines/mutating-admission-policy/read-table.js';
import { IMAGE_TABLES, pageNames } from '../../core/engines/kyverno-table/names.js';
import { entriesOf, readPage } from '../../core/engines/kyverno-table/pages.js';
import type { TablePage } from '../../core/engines/kyverno-table/pages.js';
import { CONFIG_HASH_ANNOTATION } from '../../core/policies/config-hash.js';
import { namingTarget } from '../../kinds/registry-naming.js';
import type { Owner } from '../managed-policies/owner.js';
import { isOwned, kindOf } from '../managed-policies/policy-objects.js';
import type { PolicyObjects } from '../managed-policies/policy-objects.js';
import type { MirroredImages } from './mirrored-images.js';
import { usesTableObjects } from './uses-image-table.js';

export interface AdoptOptions {
  readonly images: MirroredImages;
  readonly objects: PolicyObjects;
  readonly config: Config;
  readonly owner: Owner;
}

/**
 * Continues with the table in the cluster: a new leader has not queried any target yet, and must not write less than
 * its predecessor knew. A table whose entries have other names, or were collected under another `source.accessCheck`, is ignored.
 *
 * @throws PolicyObjectError
 */
export async function adoptTables(options: AdoptOptions): Promise<void> {
  await (usesTableObjects(options.config) ? adoptObjects(options) : adoptLiterals(options));
}

async function adoptLiterals({ images, objects, config, owner }: AdoptOptions): Promise<void> {
  const targets = decidedTargets(config, namingTarget);
  const hash = policyHash(config, mutatingAdmissionPolicy, namingTarget);
  const entries = entriesHash(targets, config.source.accessCheck !== 'none');
  const kind = kindOf({ kind: 'MutatingAdmissionPolicy' });
  for (const [index, name] of policyNames(config.policies.name).entries()) {
    const live = await objects.whole(kind, name);
    if (live === undefined || !isOwned(live, owner.labels)) continue;
    const { [TABLE_HASH_ANNOTATION]: ofEntries, [CONFIG_HASH_ANNOTATION]: ofConfig } = live.metadata.annotations ?? {};
    // Earlier versions write only the second one.
    if (ofEntries === undefined ? ofConfig !== hash : ofEntries !== entries) continue;
    images.adopt(index === 0 ? 'large' : 'recent', readTable(live, targets), config);
  }
}

/**
 * The names in the targets that the table in the cluster has, for a replica that does not write it.
 *
 * @throws PolicyObjectError
 */
export async function publishedNames({
  objects,
  config,
  owner,
}: Omit<AdoptOptions, 'images'>): Promise<readonly string[]> {
  const hash = entriesHash(decidedTargets(config, namingTarget), config.source.accessCheck !== 'none');
  const names: string[] = [];
  for (const name of pageNames(config.policies.name)) {
    const live = await objects.whole(kindOf(IMAGE_TABLES), name);
    if (live === undefined || !isOwned(live, owner.labels)) break;
    names.push(...Object.values(readPage(live, hash).images));
  }
  return names;
}

/** Every object is read: an unknown one would keep images that have left the targets. */
async function adoptObjects({ images, objects, config, owner }: AdoptOptions): Promise<void> {
  const targets = decidedTargets(config, namingTarget);
  const hash = entriesHash(targets, config.source.accessCheck !== 'none');
  const kind = kindOf(IMAGE_TABLES);
  const pages: (TablePage | undefined)[] = [];
  for (const [index, name] of pageNames(config.policies.name).entries()) {
    const live = await objects.whole(kind, name);
    if (live === undefined || !isOwned(live, owner.labels)) continue;
    pages[index] = readPage(live, hash);
  }
  const [first] = targets;
  for (const page of pages.values()) {
    const { target, images: found } = page ?? { target: first?.naming.name ?? '', images: {} };
    const naming = targets.find((one) => one.naming.name === target)?.naming;
    images.adoptPage(target, naming === undefined ? [] : entriesOf(found, naming), config);
  }
}
