import type { GcpConfig } from '../../core/config/model.js';
import { quoteInput } from '../../core/image/quote.js';
import type { Parsed } from '../parsed.js';
import { gcpLimits } from '../schema/gcp-repository.js';
import type { Path } from '../tree.js';
import type { RuleContext } from './context.js';
import { membersOf, registriesOf } from './registries.js';

/** What the keys of one repository of Artifact Registry must be together. */
export function checkArtifactRegistries(context: RuleContext): void {
  for (const registry of registriesOf(context)) {
    const gcp = membersOf(registry).gcp;
    if (gcp !== undefined) checkRepository(context, [...registry.path, 'gcp'], gcp);
  }
}

function checkRepository(context: RuleContext, path: Path, gcp: Parsed<GcpConfig>): void {
  checkKey(context, path, gcp);
  const labels = gcp.repository?.labels?.map((label) => label?.key);
  checkUnique(context, [...path, 'repository', 'labels'], labels, 'key', 'label', gcpLimits.labels);
  const policies = [...path, 'cleanupPolicies'];
  const names = gcp.cleanupPolicies?.map((policy) => policy?.name);
  checkUnique(context, policies, names, 'name', 'policy', gcpLimits.cleanupPolicies);
  checkPolicies(context, policies, gcp.cleanupPolicies);
  const dryRun = [...path, 'cleanupDryRun'];
  if (context.isWritten(dryRun) && !context.isWritten(policies)) {
    context.warn(dryRun, 'has no effect without cleanupPolicies');
  }
}

/** Artifact Registry takes keys of the repository's own location only. */
function checkKey(
  context: RuleContext,
  gcp: Path,
  { repository, location, createRepository }: Parsed<GcpConfig>,
): void {
  const path = [...gcp, 'repository', 'kmsKey'];
  const key = repository?.kmsKey;
  if (key === undefined) return;
  const keyLocation = /^projects\/[^/]+\/locations\/([^/]+)\//.exec(key)?.[1];
  if (location !== undefined && keyLocation !== undefined && keyLocation !== location) {
    context.error(path, `is a key in ${keyLocation}, and the repository is in ${location}`, 'both must be the same');
  }
  if (createRepository === false) {
    context.warn(path, 'is for new repositories only, and createRepository is not true');
  }
}

function checkUnique(
  context: RuleContext,
  path: Path,
  names: readonly (string | undefined)[] = [],
  key: string,
  what: string,
  most: number,
): void {
  if (names.length > most) {
    context.error(path, `there are ${names.length} entries`, `Artifact Registry allows ${most}`);
  }
  const seen = new Set<string>();
  for (const [index, name] of names.entries()) {
    if (name === undefined) continue;
    if (seen.has(name)) context.error([...path, index, key], `the ${what} ${quoteInput(name)} is there twice`);
    seen.add(name);
  }
}

function checkPolicies(context: RuleContext, path: Path, policies: Parsed<GcpConfig>['cleanupPolicies'] = []): void {
  for (const [index, policy] of policies.entries()) {
    if (policy === undefined) continue;
    const at = (...keys: string[]): Path => [...path, index, ...keys];
    const hasCondition = context.isWritten(at('condition'));
    const hasRecent = context.isWritten(at('mostRecentVersions'));
    if (!hasCondition && !hasRecent) {
      context.error(at(), 'says nothing about which versions', 'condition or mostRecentVersions is needed');
    } else if (hasCondition && hasRecent) {
      context.error(at('mostRecentVersions'), 'is there besides condition', 'make two policies of them');
    }
    if (hasRecent && policy.action === 'delete') {
      context.error(at('action'), 'is delete, and mostRecentVersions only keeps', 'set action: keep');
    }
    const prefixes = at('condition', 'tagPrefixes');
    if (policy.condition?.tagState === 'untagged' && context.isWritten(prefixes)) {
      context.error(prefixes, 'never apply to untagged versions', 'set tagState: tagged');
    }
  }
}
