import type { Config } from '../config/model.js';
import type { NameTarget } from '../naming/target.js';
import { podOptions } from '../policies/options.js';
import { policyTargets } from '../policies/targets.js';
import type { Engine } from './engine.js';
import { engineOf, ENGINES } from './engines.js';
import { decidedInput } from './for-config.js';
import { ENGINE_NAMES } from './names.js';
import type { RouteName } from './routes.js';

/** Hashes that policies for a configuration contain, by the route that they call. */
export type PolicyHashes = Readonly<Record<RouteName, string>>;

/** Engines that share a route have the same hash, except the configured one, which may decide some Pods itself. */
export function policyHashes(config: Config, nameTarget: NameTarget): PolicyHashes {
  const configured = engineOf(config.policies);
  const engines = [...ENGINE_NAMES.map((name) => ENGINES[name]), ...(configured === undefined ? [] : [configured])];
  const hashes = engines.flatMap((engine) => {
    const { transport } = engine;
    return transport === undefined ? [] : [[transport.route, policyHash(config, engine, nameTarget)] as const];
  });
  return Object.fromEntries(hashes) as PolicyHashes;
}

/** The hash that the policies of this engine contain. */
export function policyHash(config: Config, engine: Engine, nameTarget: NameTarget): string {
  return engine.configHash({
    filters: config.source.filters.map(({ jmespath }) => jmespath),
    targets: policyTargets(config, nameTarget),
    directTarget: config.source.directTarget,
    pods: podOptions(config),
    decided: decidedInput(config, nameTarget),
  });
}
