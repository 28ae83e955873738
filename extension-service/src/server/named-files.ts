import type { Config } from '../core/config/model.js';
import { gateFiles, registriesOf, targetsOf } from '../core/config/registries.js';
import { kindOf } from '../kinds/kinds.js';
import type { WatchedFile } from './watch-files.js';
import { dockerConfigPath } from '../targets/registries.js';

/** The files that are read once with the configuration, so a change to one of them is a change to it. */
export function namedFiles(config: Config, env: Readonly<Record<string, string | undefined>>): readonly WatchedFile[] {
  const ofRegistries = registriesOf(config).flatMap((registry) => {
    const { kind, settings } = kindOf(registry);
    return kind.files?.(settings, env) ?? [];
  });
  return [
    ...ofRegistries,
    ...targetsOf(config).flatMap(({ gate }) => (gate === undefined ? [] : gateFiles(gate))),
    ...[config.queue.caFile, config.queue.passwordFile, config.queue.sentinelPasswordFile].filter(
      (path) => path !== undefined,
    ),
    ...Object.values(config.tls.clients).map(({ caFile }) => caFile),
    ...(config.policies.manage && config.policies.caFile !== undefined ? [{ optional: config.policies.caFile }] : []),
    { optional: dockerConfigPath(env) },
  ];
}
