import { expect } from 'vitest';
import { parseReference } from '../../../extension-service/src/core/image/reference.js';
import type { Reference } from '../../../extension-service/src/core/image/reference.js';
import { sourceOf, targetReference } from '../../../extension-service/src/core/naming/name.js';
import type { TargetReference } from '../../../extension-service/src/core/naming/name.js';
import { findTarget } from '../../../extension-service/src/core/naming/origin.js';
import type { NamingTarget } from '../../../extension-service/src/core/naming/target.js';

/** Pattern of `repositoryName` in the API reference of ECR's CreateRepository. */
const ecrPattern = /^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*\/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$/;
/** Pattern of `<name>` in the OCI distribution spec, which Artifact Registry follows below PROJECT/REPOSITORY. */
const ociPattern = /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/;
const garPattern = /^[a-z0-9.-]+(?:\/[a-z0-9.-]+)?\/[a-z0-9-]+\/./;

/** Whether the target's registry accepts the repository name, according to the registry's documentation. */
export function registryTakes(target: NamingTarget, repository: string): boolean {
  if (target.host.includes('.dkr.ecr.')) {
    return repository.length >= 2 && repository.length <= 256 && ecrPattern.test(repository);
  }
  if (repository.length > 255 || !ociPattern.test(repository)) return false;
  return !target.host.endsWith('-docker.pkg.dev') || garPattern.test(repository);
}

/**
 * Checks the invariants of a name: naming is idempotent; the registry and the kubelet accept the name; the name has the
 * digest of the source; and the source can be read from it unless it is shortened. Plain comparisons come before
 * `expect` because a million names pass through this function.
 */
export function checkNaming(
  target: NamingTarget,
  targets: readonly NamingTarget[],
  source: Reference,
): TargetReference {
  const named = targetReference(target, source);
  const parsed = parseReference(named.text);
  if (parsed.registry !== target.host || parsed.repository !== named.repository) expect(parsed).toEqual(named);
  if (parsed.digest !== source.digest || named.digest !== source.digest) expect(parsed).toEqual(named);
  const tag = source.digest === undefined ? source.tag : undefined;
  if (parsed.tag !== tag || named.tag !== tag) expect(parsed).toEqual({ ...named, tag });
  if (named.shownAs !== (source.digest ?? source.tag)) expect(named.shownAs).toBe(source.digest ?? source.tag);
  const published = source.digest === undefined ? source.tag : `keep-${source.digest.replace(/^.*:/, '').slice(0, 12)}`;
  if (named.published !== published) expect(named.published).toBe(published);
  if (!registryTakes(target, named.repository)) expect.fail(`${target.name} refuses ${named.repository}`);
  if (target.host.length + 1 + named.repository.length > 255) expect.fail(`${named.text} is too long for old kubelets`);
  if (findTarget(targets, parsed) === undefined) expect.fail(`${named.text} would be mirrored again`);
  const back = sourceOf(target, parsed);
  if (back === undefined) {
    if (!isShort(target, named)) expect.fail(`${named.text} cannot be read back`);
  } else {
    const same = back.registry === source.registry && back.repository === source.repository;
    if (!same || back.digest !== source.digest || back.tag !== tag) expect(back).toEqual({ ...source, tag });
  }
  return named;
}

/** Whether the name has the mark of a shortened name. */
export function isShort(target: NamingTarget, named: TargetReference): boolean {
  const path = target.path === '' ? named.repository : named.repository.slice(target.path.length + 1);
  return /^[^/]*_short\/(?:.+\/)?[a-f0-9]{64}$/.test(path);
}
