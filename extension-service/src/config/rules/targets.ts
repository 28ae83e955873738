import type { TargetConfig } from '../../core/config/model.js';
import { quoteInput } from '../../core/image/quote.js';
import { isTargetHost } from '../../core/naming/origin.js';
import { overlappingTargets } from '../../core/naming/overlap.js';
import { namingTarget, targetProblems } from '../../core/naming/target.js';
import type { NamingTarget } from '../../core/naming/target.js';
import { namedTargetSchema, targetSchema } from '../schema/registry.js';
import type { Path } from '../tree.js';
import { childOf, formatPath, itemsOf, nodeAt, placeAt, textOf, toPlain } from '../tree.js';
import type { RuleContext } from './context.js';

/** What targets must be together: there, with different names, in different places, each in reach. */
export function checkTargets(context: RuleContext): void {
  const { tree, problems } = context;
  const entries = itemsOf(childOf(tree, 'targets'));
  const reported = problems.hasError('target') || problems.hasError('targets');
  if (childOf(tree, 'target') === undefined && entries.length === 0 && !reported) {
    const allowed =
      'give target: {type: aws | gcp | oci, …} or a list of targets, in the file or as IMAGE_SWAPPER_TARGET_…';
    problems.error(placeAt(tree, ['target']), 'target', 'no target is configured', allowed);
  }
  checkNames(context);
  checkReach(context);
  checkNaming(context);
}

function targetPaths({ tree }: RuleContext): readonly Path[] {
  return [
    ...itemsOf(childOf(tree, 'targets')).map((_, index) => ['targets', index]),
    ...(childOf(tree, 'target') === undefined ? [] : [['target']]),
  ];
}

function checkNames(context: RuleContext): void {
  const { tree, problems } = context;
  const first = new Map<string, string>();
  for (const path of targetPaths(context)) {
    const name = textOf(nodeAt(tree, [...path, 'name'])) ?? (path[0] === 'target' ? 'default' : undefined);
    if (name === undefined) continue;
    const other = first.get(name);
    if (other === undefined) {
      first.set(name, formatPath(path));
      continue;
    }
    const where = [...path, 'name'];
    const key = formatPath(where);
    problems.error(
      placeAt(tree, where),
      key,
      `${quoteInput(name)} is the name of ${other} already`,
      'names are unique',
    );
  }
}

/** A target without `match` takes everything that comes to it. */
function checkReach(context: RuleContext): void {
  const { tree, problems } = context;
  const paths = targetPaths(context);
  const catchAll = paths.findIndex((path) => nodeAt(tree, [...path, 'match']) === undefined);
  const next = paths[catchAll + 1];
  if (catchAll < 0 || next === undefined) return;
  const message = `takes everything, so ${formatPath(next)} and what follows it get no image`;
  const path = paths[catchAll] ?? [];
  problems.warning(placeAt(tree, path), formatPath(path), message, 'give it a match, or make it the last');
}

function checkNaming(context: RuleContext): void {
  const { tree, problems } = context;
  const known: { readonly path: Path; readonly naming: NamingTarget }[] = [];
  for (const path of targetPaths(context)) {
    const config = parseTarget(context, path);
    if (config === undefined) continue;
    const faults = targetProblems(config);
    for (const { key, message } of faults) {
      const where = [...path, ...key.split('.')];
      problems.error(placeAt(tree, where), formatPath(where), message);
    }
    if (faults.length > 0) continue;
    const naming = namingTarget(config);
    const same = known.find((other) => other.naming.path === naming.path && isTargetHost(other.naming, naming.host));
    if (same !== undefined) {
      const where = `${naming.host}${naming.path === '' ? '' : `/${naming.path}`}`;
      const message = `is the same place as ${formatPath(same.path)}: ${where}`;
      problems.error(placeAt(tree, path), formatPath(path), message, 'give one of them another prefix');
    }
    known.push({ path, naming });
  }
  for (const { inner, message } of overlappingTargets(known.map(({ naming }) => naming))) {
    const path = known.find(({ naming }) => naming === inner)?.path ?? [];
    problems.error(placeAt(tree, path), formatPath(path), message);
  }
}

/** Undefined when the schema has something against it, which is reported elsewhere. */
function parseTarget({ tree }: RuleContext, path: Path): TargetConfig | undefined {
  const node = nodeAt(tree, path);
  if (node === undefined) return undefined;
  const schema = path[0] === 'target' ? targetSchema : namedTargetSchema;
  return schema.safeParse(toPlain(node)).data;
}
