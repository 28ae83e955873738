import type { TargetConfig } from '../../core/config/model.js';
import { quoteInput } from '../../core/image/quote.js';
import { isTargetHost } from '../../core/naming/origin.js';
import { overlappingTargets } from '../../core/naming/overlap.js';
import type { NamingTarget } from '../../core/naming/target.js';
import type { Path } from '../tree.js';
import { formatPath } from '../tree.js';
import type { RuleContext } from './context.js';
import { targetsOf } from './registries.js';
import { REGISTRY_TYPES } from '../../kinds/kinds.js';
import { namingTarget, targetProblems } from '../../kinds/registry-naming.js';

/** Rules for all targets: at least one, with unique names and locations, each reachable. */
export function checkTargets(context: RuleContext): void {
  const reported = context.hasError(['target']) || context.hasError(['targets']);
  if (targetsOf(context).length === 0 && !reported) {
    const allowed = `set target: {type: ${REGISTRY_TYPES.join(' | ')}, …} or a list of targets, in the file or as IMAGE_SWAPPER_TARGET_…`;
    context.error(['target'], 'no target is configured', allowed);
  }
  checkNames(context);
  checkReach(context);
  checkNaming(context);
}

function checkNames(context: RuleContext): void {
  const first = new Map<string, string>();
  for (const { path, config } of targetsOf(context)) {
    const name = config?.name;
    if (name === undefined) continue;
    const other = first.get(name);
    if (other === undefined) {
      first.set(name, formatPath(path));
      continue;
    }
    context.error([...path, 'name'], `${quoteInput(name)} is already the name of ${other}`, 'names must be unique');
  }
}

/** A target without `match` and `paths` takes every image that reaches it. */
function checkReach(context: RuleContext): void {
  const paths = targetsOf(context).map(({ path }) => path);
  const catchAll = paths.findIndex((path) => !['match', 'paths'].some((key) => context.isWritten([...path, key])));
  const path = paths[catchAll];
  const next = paths[catchAll + 1];
  if (path === undefined || next === undefined) return;
  const message = `takes every image, so ${formatPath(next)} and later targets get none`;
  context.warn(path, message, 'set match, or move it to the end');
}

const DOCKER_HUB: ReadonlySet<string> = new Set(['docker.io', 'registry-1.docker.io', 'registry.hub.docker.com']);

/**
 * Registries whose paths begin with an owner: `ghcr.io/NAMESPACE/IMAGE`, `quay.io/ORGANIZATION/REPOSITORY`,
 * `registry.gitlab.com/NAMESPACE/PROJECT`, `HOST-docker.pkg.dev/PROJECT/REPOSITORY`, and gcr.io with its regions.
 */
const HAS_OWNERS = /^(?:ghcr\.io|quay\.io|registry\.gitlab\.com|[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z]+\.)?gcr\.io)$/;

function checkNaming(context: RuleContext): void {
  const known: { readonly path: Path; readonly naming: NamingTarget }[] = [];
  for (const { path, config } of targetsOf(context)) {
    if (!context.isComplete(path)) continue;
    const target = config as TargetConfig;
    const faults = targetProblems(target);
    for (const { key, entry, message } of faults) {
      context.error([...path, ...key.split('.'), ...(entry === undefined ? [] : [entry])], message);
    }
    if (faults.length > 0) continue;
    const naming = namingTarget(target);
    if (DOCKER_HUB.has(naming.host)) {
      const message =
        'Docker Hub has only repositories of the form NAMESPACE/NAME, so it rejects the longer names of mirrored images';
      context.warn([...path, 'oci', 'registry'], message, 'use a registry with nested repositories');
    }
    if (naming.path === '' && naming.paths === undefined && HAS_OWNERS.test(naming.host)) {
      const message = `the first part of a path at ${naming.host} is an owner, and without prefix that is the source's host`;
      context.warn([...path, 'oci', 'registry'], message, 'set prefix to your organization, group or project');
    }
    const same = known.find((other) => isSamePlace(other.naming, naming));
    if (same !== undefined) {
      const where = `${naming.host}${naming.path === '' ? '' : `/${naming.path}`}`;
      const message = `points to the same place as ${formatPath(same.path)}: ${where}`;
      context.error(path, message, 'give one of them another prefix');
    }
    known.push({ path, naming });
  }
  for (const { inner, message } of overlappingTargets(known.map(({ naming }) => naming))) {
    context.error(known.find(({ naming }) => naming === inner)?.path ?? [], message);
  }
}

/** Targets with `paths` may not overlap, which {@link overlappingTargets} checks. */
function isSamePlace(one: NamingTarget, other: NamingTarget): boolean {
  if (one.paths !== undefined || other.paths !== undefined) return false;
  return one.path === other.path && isTargetHost(one, other.host);
}
