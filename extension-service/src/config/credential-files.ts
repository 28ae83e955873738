import { resolve } from 'node:path';
import type { Config } from '../core/config/model.js';
import type { ConfigFiles } from './files.js';
import { unreadable } from './files.js';
import { credentialsFileFault } from '../kinds/gcp/credentials-document.js';
import type { ConfigProblem, Place } from './problem.js';
import { Problems } from './problem.js';
import { membersOf, registriesOf } from './rules/registries.js';
import type { MappingNode } from './tree.js';
import { formatPath, placeAt } from './tree.js';

export interface CredentialFileOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** How messages call the configuration. */
  readonly file: string;
  readonly files: ConfigFiles;
}

const VARIABLE = 'GOOGLE_APPLICATION_CREDENTIALS';
/** Bytes; keys have two thousand, federations less. */
const SIZE_LIMIT = 64 * 1024;

/**
 * What is wrong with the credentials files of Google's registries: those that the configuration names, and that of the
 * variable when a registry depends on it. Files may change later: that is for whoever reads them then.
 */
export async function credentialFileProblems(
  config: Config,
  tree: MappingNode,
  { cwd, env, file, files }: CredentialFileOptions,
): Promise<readonly ConfigProblem[]> {
  const problems = new Problems();
  const check = async (path: string, place: Place, key: string): Promise<void> => {
    const fault = await faultOf(resolve(cwd, path), files);
    if (fault !== undefined) problems.error(place, key, `${path} ${fault}`, ALLOWED);
  };
  let usesVariable = false;
  for (const registry of registriesOf({ config })) {
    const { gcp } = membersOf(registry);
    if (gcp === undefined) continue;
    const path = [...registry.path, 'gcp', 'credentialsFile'];
    const named = gcp.credentialsFile;
    if (named === undefined) usesVariable = true;
    else await check(named, placeAt(tree, path), formatPath(path));
  }
  const variable = env[VARIABLE] ?? '';
  if (usesVariable && variable !== '')
    await check(variable, { file: `environment ${VARIABLE}`, line: 1, column: 1 }, '');
  return problems.list('error', file);
}

const ALLOWED = 'a JSON file with Google credentials, such as the key of a service account, is needed';

async function faultOf(path: string, files: ConfigFiles): Promise<string | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await files.read(path, SIZE_LIMIT + 1);
  } catch (error) {
    return `cannot be used: ${unreadable(error)}`;
  }
  if (bytes.length > SIZE_LIMIT) return `is larger than ${SIZE_LIMIT} bytes`;
  const result = credentialsFileFault(Buffer.from(bytes).toString('utf8'));
  return 'fault' in result ? result.fault : undefined;
}
