import type { Config } from '../core/config/model.js';
import { registriesOf } from '../core/config/registries.js';
import type { WatchedFile } from './watch-files.js';
import { dockerConfigPath } from '../targets/registries.js';

/** The files that are read once with the configuration, so that a change of theirs is a change of it. */
export function namedFiles(config: Config, env: Readonly<Record<string, string | undefined>>): readonly WatchedFile[] {
  const registries = registriesOf(config);
  const bundle = env['AWS_CA_BUNDLE'] ?? '';
  return [
    ...registries.flatMap((registry) =>
      registry.type === 'oci' && registry.oci.caFile !== undefined ? [registry.oci.caFile] : [],
    ),
    // Read anew by themselves; a new password is a reason to try again what the old one failed for.
    ...registries.flatMap((registry) => {
      const { passwordFile, dockerConfigFile } = (registry.type === 'oci' && registry.oci.credentials) || {};
      return [passwordFile, dockerConfigFile].flatMap((file) => (file === undefined ? [] : [{ optional: file }]));
    }),
    ...(bundle !== '' && registries.some(({ type }) => type === 'aws') ? [bundle] : []),
    { optional: dockerConfigPath(env) },
  ];
}
