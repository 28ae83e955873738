import type { Config, TargetConfig } from '../../core/config/model.js';
import type { NamingTarget } from '../../core/naming/target.js';
import type { Registries } from '../registries.js';
import { collectGarbage } from './collect-garbage.js';
import type { GarbageOptions, GarbageResult } from './collect-garbage.js';
import { UsageStore } from './usage-store.js';

export interface CollectOptions extends Pick<GarbageOptions, 'signal' | 'beforeDelete'> {
  readonly config: Config;
  readonly registries: Registries;
  readonly target: TargetConfig;
  readonly naming: NamingTarget;
  readonly now?: () => number;
}

/** {@link collectGarbage} for a target of the configuration. */
export async function collectTarget(options: CollectOptions): Promise<GarbageResult> {
  const { config, registries, target, naming, signal, beforeDelete, now = Date.now } = options;
  const client = registries.target(target.name);
  const remove = registries.cloudTarget(target.name)?.repositories?.remove;
  return collectGarbage({
    ...{ client, naming, signal },
    target: target.name,
    store: new UsageStore(client, naming),
    settings: { after: config.gc.after, clusters: config.gc.clusters, now: now() },
    dryRun: config.dryRun,
    tagsFirst: target.type === 'gcp',
    deletePlatforms: config.gc.deletePlatforms,
    ...(remove !== undefined && { remove }),
    ...(beforeDelete !== undefined && { beforeDelete }),
  });
}
