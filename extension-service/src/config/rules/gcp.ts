import { quoteInput } from '../../core/image/quote.js';
import { gcpLimits } from '../schema/gcp-repository.js';
import type { Path } from '../tree.js';
import { childOf, formatPath, itemsOf, nodeAt, placeAt, textOf } from '../tree.js';
import type { RuleContext } from './context.js';
import { registryPaths } from './registries.js';

/** What the keys of one repository of Artifact Registry must be together. */
export function checkArtifactRegistries(context: RuleContext): void {
  for (const path of registryPaths(context.tree)) {
    const gcp = [...path, 'gcp'];
    if (nodeAt(context.tree, gcp) === undefined) continue;
    checkKey(context, gcp);
    checkUnique(context, [...gcp, 'repository', 'labels'], 'key', 'label', gcpLimits.labels);
    checkUnique(context, [...gcp, 'cleanupPolicies'], 'name', 'policy', gcpLimits.cleanupPolicies);
    checkPolicies(context, [...gcp, 'cleanupPolicies']);
    const dryRun = [...gcp, 'cleanupDryRun'];
    if (nodeAt(context.tree, dryRun) !== undefined && nodeAt(context.tree, [...gcp, 'cleanupPolicies']) === undefined) {
      warn(context, dryRun, 'has no effect without cleanupPolicies');
    }
  }
}

/** Artifact Registry takes keys of the repository's own location only. */
function checkKey(context: RuleContext, gcp: Path): void {
  const path = [...gcp, 'repository', 'kmsKey'];
  const key = textOf(nodeAt(context.tree, path));
  if (key === undefined) return;
  const location = textOf(nodeAt(context.tree, [...gcp, 'location']));
  const keyLocation = /^projects\/[^/]+\/locations\/([^/]+)\//.exec(key)?.[1];
  if (location !== undefined && keyLocation !== undefined && keyLocation !== location) {
    report(context, path, `is a key in ${keyLocation}, and the repository is in ${location}`, 'both must be the same');
  }
  const create = nodeAt(context.tree, [...gcp, 'createRepository']);
  if (!(create?.kind === 'scalar' && create.value === true)) {
    warn(context, path, 'is for new repositories only, and createRepository is not true');
  }
}

function checkUnique(context: RuleContext, path: Path, key: string, what: string, most: number): void {
  const items = itemsOf(nodeAt(context.tree, path));
  if (items.length > most) {
    report(context, path, `there are ${items.length} entries`, `Artifact Registry allows ${most}`);
  }
  const names = items.map((item) => textOf(childOf(item, key)));
  names.forEach((name, index) => {
    if (name === undefined || names.indexOf(name) === index) return;
    report(context, [...path, index, key], `the ${what} ${quoteInput(name)} is there twice`);
  });
}

function checkPolicies(context: RuleContext, path: Path): void {
  itemsOf(nodeAt(context.tree, path)).forEach((item, index) => {
    const at = (...keys: string[]): Path => [...path, index, ...keys];
    const condition = childOf(item, 'condition');
    const recent = childOf(item, 'mostRecentVersions');
    if (condition === undefined && recent === undefined) {
      report(context, at(), 'says nothing about which versions', 'condition or mostRecentVersions is needed');
    } else if (condition !== undefined && recent !== undefined) {
      report(context, at('mostRecentVersions'), 'is there besides condition', 'make two policies of them');
    }
    if (recent !== undefined && textOf(childOf(item, 'action')) === 'delete') {
      report(context, at('action'), 'is delete, and mostRecentVersions only keeps', 'set action: keep');
    }
    const untagged = textOf(childOf(condition, 'tagState')) === 'untagged';
    if (untagged && childOf(condition, 'tagPrefixes') !== undefined) {
      report(context, at('condition', 'tagPrefixes'), 'never apply to untagged versions', 'set tagState: tagged');
    }
  });
}

function report({ tree, problems }: RuleContext, path: Path, message: string, allowed?: string): void {
  problems.error(placeAt(tree, path), formatPath(path), message, allowed);
}

function warn({ tree, problems }: RuleContext, path: Path, message: string): void {
  problems.warning(placeAt(tree, path), formatPath(path), message);
}
