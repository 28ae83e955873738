import { resolve } from 'node:path';
import type { Config } from '../core/config/model.js';
import { INSTEAD_OF_HELPER, unusedHelper } from '../credentials/credential-helpers.js';
import { DockerConfigError, MAX_CONFIG_BYTES, parseDockerConfig } from '../credentials/docker-config.js';
import type { OciConfig } from '../kinds/oci/config.js';
import { ociNaming } from '../kinds/oci/naming.js';
import type { ConfigFiles } from './files.js';
import type { ConfigProblem } from './problem.js';
import { Problems } from './problem.js';
import { registriesOf, settingsOf } from './rules/registries.js';
import type { MappingNode } from './tree.js';
import { formatPath, placeAt } from './tree.js';

/**
 * Warns about a `dockerConfigFile` that is malformed, or that leaves the login of its registry to a credential helper. An
 * unreadable file is reported when it is needed, because it may appear later.
 */
export async function dockerConfigWarnings(
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
    const text = Buffer.from(bytes).toString('utf8');
    const helper = unusedHelper(text, dockerConfigFile, host, path);
    const malformed = formatProblem(text, dockerConfigFile);
    const key = [...registry.path, 'oci', 'credentials', 'dockerConfigFile'];
    const place = placeAt(tree, key);
    if (helper !== undefined) problems.warning(place, formatPath(key), helper, INSTEAD_OF_HELPER);
    if (malformed !== undefined) problems.warning(place, formatPath(key), malformed, INSTEAD_OF_MALFORMED);
  }
  return problems.list('warning', file);
}

const INSTEAD_OF_MALFORMED = 'write it as docker login or kubectl create secret docker-registry does';

function formatProblem(text: string, origin: string): string | undefined {
  try {
    parseDockerConfig(text, origin);
    return undefined;
  } catch (error) {
    if (error instanceof DockerConfigError) return error.message;
    throw error;
  }
}
