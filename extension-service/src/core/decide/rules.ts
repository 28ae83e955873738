import type {
  Config,
  OperatorConfig,
  ImageCopyPolicy,
  ImageSwapPolicy,
  Platforms,
  TargetConfig,
} from '../config/model.js';
import { targetsOf } from '../config/registries.js';
import { compileFilter } from '../filters/compile.js';
import type { Filter } from '../filters/compile.js';
import { buildOriginIndex } from '../naming/origin.js';
import type { OriginIndex } from '../naming/origin.js';
import type { NameTarget, NamingTarget } from '../naming/target.js';

/** A target with everything that a decision needs, its expression compiled. */
export interface TargetRule {
  readonly config: TargetConfig;
  readonly naming: NamingTarget;
  readonly match?: Filter;
  readonly swapPolicy: ImageSwapPolicy;
  readonly copyPolicy: ImageCopyPolicy;
  readonly platforms: Platforms;
}

/** A configuration prepared for decisions: compiled once at load, read by every request. */
export interface Rules {
  readonly filters: readonly Filter[];
  /** In the order in which they are tried; the last may be the catch-all `target`. */
  readonly targets: readonly TargetRule[];
  /** Whether image volumes are also decided. */
  readonly volumes: boolean;
  /** Pods of these operators are not changed. */
  readonly operators: readonly OperatorConfig[];
  /** Finds the target that already contains an image. */
  readonly origins: OriginIndex;
}

/**
 * @throws Error if an expression does not compile; the config loader has already rejected such a configuration, with
 * its line and column
 */
export function compileRules(config: Config, nameTarget: NameTarget): Rules {
  const targets = targetsOf(config);
  const compiled = targets.map((target, index): TargetRule => ({
    config: target,
    naming: nameTarget(target),
    ...(target.match !== undefined && { match: mustCompile(target.match, index) }),
    swapPolicy: target.imageSwapPolicy ?? config.imageSwapPolicy,
    copyPolicy: target.imageCopyPolicy ?? config.imageCopyPolicy,
    platforms: target.platforms ?? config.mirror.platforms,
  }));
  return {
    filters: config.source.filters.map((filter, index) => mustCompile(filter.jmespath, index)),
    targets: compiled,
    volumes: config.source.volumes,
    operators: config.source.operators,
    origins: buildOriginIndex(compiled.map((target) => target.naming)),
  };
}

function mustCompile(expression: string, index: number): Filter {
  const { filter, problems } = compileFilter(expression, index);
  if (filter === undefined) {
    throw new Error(
      `expression ${JSON.stringify(expression)}: ${problems.map((problem) => problem.message).join('; ')}`,
    );
  }
  return filter;
}
