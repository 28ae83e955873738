import type { Problems } from '../problem.js';
import type { Path, TreeNode } from '../tree.js';
import { childOf, formatPath, itemsOf, nodeAt, placeAt } from '../tree.js';
import { checkAws } from './aws.js';
import type { RuleContext } from './context.js';

/** Every registry of the configuration, by its path. */
export function registryPaths(tree: TreeNode): readonly Path[] {
  return [
    ...(childOf(tree, 'target') === undefined ? [] : [['target']]),
    ...itemsOf(childOf(tree, 'targets')).map((_, index) => ['targets', index]),
    ...itemsOf(nodeAt(tree, ['source', 'registries'])).map((_, index) => ['source', 'registries', index]),
  ];
}

/** What the parts of one registry must be together. */
export function checkRegistries({ tree, dialect, problems }: RuleContext): void {
  for (const path of registryPaths(tree)) {
    const part = (...keys: string[]): Path => [...path, ...keys];
    checkAws({ tree, dialect, problems }, part('aws'), path[0] === 'source');
    checkCredentials(tree, part('oci', 'credentials'), problems);
    const plain = childOf(nodeAt(tree, part('oci')), 'insecure');
    const caFile = part('oci', 'caFile');
    if (plain?.kind === 'scalar' && plain.value === true && nodeAt(tree, caFile) !== undefined) {
      problems.warning(placeAt(tree, caFile), formatPath(caFile), 'is not read, because insecure is true');
    }
  }
}

function checkCredentials(tree: TreeNode, path: Path, problems: Problems): void {
  const node = nodeAt(tree, path);
  if (node?.kind !== 'mapping') return;
  const sources = ['secretName', 'password', 'passwordFile', 'dockerConfigFile'];
  const given = sources.filter((key) => node.entries.has(key));
  const report = (key: string, message: string, allowed?: string) => {
    const where = key === '' ? path : [...path, key];
    problems.error(placeAt(tree, where), formatPath(where), message, allowed);
  };
  if (given.length === 0) {
    report('', 'says nothing about how to log in', `one of ${sources.join(', ')} is needed`);
  } else if (given.length > 1) {
    report(given[1] ?? '', `is there besides ${given[0] ?? ''}`, `one of ${sources.join(', ')} is allowed`);
  }
  const withUser = node.entries.has('password') || node.entries.has('passwordFile');
  if (withUser && !node.entries.has('username')) report('username', 'is missing, and there is a password');
  if (node.entries.has('username') && !withUser && given.length > 0) {
    report('username', `is of no use with ${given[0] ?? ''}`, 'it goes with password or passwordFile');
  }
  if (node.entries.has('namespace') && !node.entries.has('secretName')) {
    report('namespace', 'is of no use without secretName');
  }
}
