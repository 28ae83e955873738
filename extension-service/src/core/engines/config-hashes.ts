import type { Config } from '../config/model.js';
import type { NameTarget } from '../naming/target.js';
import { podOptions } from '../policies/options.js';
import { policyTargets } from '../policies/targets.js';
import type { Engine } from './engine.js';
import { ENGINES } from './engines.js';
import { ENGINE_NAMES } from './names.js';
import type { RouteName } from './routes.js';

/** Hashes that policies for a configuration contain, by the route that they call. */
export type PolicyHashes = Readonly<Record<RouteName, string>>;

/** Engines that share a route have the same hash. */
export function policyHashes(config: Config, nameTarget: NameTarget): PolicyHashes {
  const hashes = ENGINE_NAMES.flatMap((name) => {
    const { transport } = ENGINES[name];
    return transport === undefined ? [] : [[transport.route, policyHash(config, ENGINES[name], nameTarget)] as const];
  });
  return Object.fromEntries(hashes) as PolicyHashes;
}

/** The hash that the policies of this engine contain. */
export function policyHash(config: Config, engine: Engine, nameTarget: NameTarget): string {
  const filters = config.source.filters.map(({ jmespath }) => jmespath);
  const { accessCheck, directTarget } = config.source;
  const targets = policyTargets(config, nameTarget);
  return engine.configHash(filters, targets, directTarget, podOptions(config), accessCheck !== 'none');
}
