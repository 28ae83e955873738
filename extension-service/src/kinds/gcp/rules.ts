import type { GcpConfig } from './config.js';
import { quoteInput } from '../../core/image/quote.js';
import type { Parsed } from '../../schema/parsed.js';
import { GCR_REPOSITORIES } from './naming.js';
import { gcpLimits } from './repository-schema.js';
import type { KeyPath, RuleScope } from '../../schema/rule-scope.js';

/** Checks combinations of keys of one Artifact Registry repository. */
export function gcpRules(scope: RuleScope, gcp: Parsed<GcpConfig>): void {
  checkLocation(scope, gcp);
  checkKey(scope, gcp);
  const labels = gcp.repository?.labels?.map((label) => label?.key);
  checkUnique(scope, ['repository', 'labels'], labels, 'key', 'label', gcpLimits.labels);
  const names = gcp.cleanupPolicies?.map((policy) => policy?.name);
  checkUnique(scope, ['cleanupPolicies'], names, 'name', 'policy', gcpLimits.cleanupPolicies);
  checkPolicies(scope, gcp.cleanupPolicies);
  if (scope.isWritten(['cleanupDryRun']) && !scope.isWritten(['cleanupPolicies'])) {
    scope.warn(['cleanupDryRun'], 'has no effect without cleanupPolicies');
  }
}

/** The repository of a host of Container Registry exists in one location only. */
function checkLocation(scope: RuleScope, { repositoryId, location }: Parsed<GcpConfig>): void {
  const expected = GCR_REPOSITORIES.get(repositoryId ?? '');
  if (expected === undefined || location === undefined || location === expected) return;
  const message = `the repository ${quoteInput(repositoryId ?? '')} is not in ${quoteInput(location)}`;
  scope.error(['location'], message, `write ${expected}`);
}

/** Artifact Registry only accepts keys in the repository's own location. */
function checkKey(scope: RuleScope, { repository, location, createRepository }: Parsed<GcpConfig>): void {
  const path = ['repository', 'kmsKey'];
  const key = repository?.kmsKey;
  if (key === undefined) return;
  const keyLocation = /^projects\/[^/]+\/locations\/([^/]+)\//.exec(key)?.[1];
  if (location !== undefined && keyLocation !== undefined && keyLocation !== location) {
    scope.error(
      path,
      `is a key in ${keyLocation}, but the repository is in ${location}`,
      'both locations must be the same',
    );
  }
  if (createRepository === false) {
    scope.warn(path, 'applies to new repositories only, but createRepository is not true');
  }
}

function checkUnique(
  scope: RuleScope,
  path: KeyPath,
  names: readonly (string | undefined)[] = [],
  key: string,
  what: string,
  most: number,
): void {
  if (names.length > most) {
    scope.error(path, `there are ${names.length} entries`, `Artifact Registry allows ${most}`);
  }
  const seen = new Set<string>();
  for (const [index, name] of names.entries()) {
    if (name === undefined) continue;
    if (seen.has(name)) scope.error([...path, index, key], `the ${what} ${quoteInput(name)} is a duplicate`);
    seen.add(name);
  }
}

function checkPolicies(scope: RuleScope, policies: Parsed<GcpConfig>['cleanupPolicies'] = []): void {
  for (const [index, policy] of policies.entries()) {
    if (policy === undefined) continue;
    const at = (...keys: string[]): KeyPath => ['cleanupPolicies', index, ...keys];
    const hasCondition = scope.isWritten(at('condition'));
    const hasRecent = scope.isWritten(at('mostRecentVersions'));
    if (!hasCondition && !hasRecent) {
      scope.error(at(), 'does not select any versions', 'set condition or mostRecentVersions');
    } else if (hasCondition && hasRecent) {
      scope.error(at('mostRecentVersions'), 'cannot be combined with condition', 'split this into two policies');
    }
    if (hasRecent && policy.action === 'delete') {
      scope.error(at('action'), 'is delete, but mostRecentVersions only works with keep', 'set action: keep');
    }
    const prefixes = at('condition', 'tagPrefixes');
    if (policy.condition?.tagState === 'untagged' && scope.isWritten(prefixes)) {
      scope.error(prefixes, 'do not apply to untagged versions', 'set tagState: tagged');
    }
  }
}
