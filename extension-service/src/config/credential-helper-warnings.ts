import { resolve } from 'node:path';
import type { Config } from '../core/config/model.js';
import { INSTEAD_OF_HELPER, unusedHelper } from '../credentials/credential-helpers.js';
import { MAX_CONFIG_BYTES } from '../credentials/docker-config.js';
import type { OciConfig } from '../kinds/oci/config.js';
import { ociNaming } from '../kinds/oci/naming.js';
import type { ConfigFiles } from './files.js';
import type { ConfigProblem } from './problem.js';
import { Problems } from './problem.js';
import { registriesOf, settingsOf } from './rules/registries.js';
import type { MappingNode } from './tree.js';
import { formatPath, placeAt } from './tree.js';

/**
 * Warns about a `dockerConfigFile` that leaves the login of its registry to a credential helper. An unreadable file is
 * reported when it is needed, because it may appear later.
 */
export async function credentialHelperWarnings(
  config: Config,
  tree: MappingNode,
  { cwd, file, files }: { readonly cwd: string; readonly file: string; readonly files: ConfigFiles },
): Promise<readonly ConfigProblem[]> {
  const problems = new Problems();
  for (const registry of registriesOf({ config })) {
    const settings = settingsOf(registry, 'oci') as OciConfig | undefined;
    const dockerConfigFile = settings?.credentials?.dockerConfigFile;
    if (settings === undefined || dockerConfigFile === undefined) continue;
    const bytes = await files.read(resolve(cwd, dockerConfigFile), MAX_CONFIG_BYTES).catch(() => undefined);
    if (bytes === undefined) continue;
    const { host, path } = ociNaming.place(settings);
    const warning = unusedHelper(Buffer.from(bytes).toString('utf8'), dockerConfigFile, host, path);
    const key = [...registry.path, 'oci', 'credentials', 'dockerConfigFile'];
    if (warning !== undefined) problems.warning(placeAt(tree, key), formatPath(key), warning, INSTEAD_OF_HELPER);
  }
  return problems.list('warning', file);
}
