import { resolve } from 'node:path';
import type { Config } from '../core/config/model.js';
import type { ConfigFiles } from './files.js';
import { unreadable } from '../util/unreadable.js';
import type { CredentialsFile } from '../kinds/kind.js';
import { REGISTRY_KINDS } from '../kinds/kinds.js';
import type { ConfigProblem, Place } from './problem.js';
import { Problems } from './problem.js';
import { registriesOf, settingsOf } from './rules/registries.js';
import type { MappingNode } from './tree.js';
import { formatPath, placeAt } from './tree.js';

export interface CredentialFileOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The configuration's name in messages. */
  readonly file: string;
  readonly files: ConfigFiles;
}

/** Keys have about two thousand bytes, federations less. */
const MAX_FILE_BYTES = 64 * 1024;

/**
 * Problems of credentials files, for the kinds that use them: the files that the configuration names, and the file of
 * the kind's variable if a registry depends on it. Files may change later; then the login reports the problem.
 */
export async function credentialFileProblems(
  config: Config,
  tree: MappingNode,
  { cwd, env, file, files }: CredentialFileOptions,
): Promise<readonly ConfigProblem[]> {
  const problems = new Problems();
  for (const { type, credentialsFile } of REGISTRY_KINDS) {
    if (credentialsFile === undefined) continue;
    const { key, variable, allowed } = credentialsFile;
    const check = async (path: string, place: Place, where: string): Promise<void> => {
      const fault = await faultOf(resolve(cwd, path), files, credentialsFile);
      if (fault !== undefined) problems.error(place, where, `${path} ${fault}`, allowed);
    };
    let usesVariable = false;
    for (const registry of registriesOf({ config })) {
      const settings = settingsOf(registry, type);
      if (settings === undefined) continue;
      const path = [...registry.path, type, key];
      const named = new Map<string, unknown>(Object.entries(settings)).get(key);
      if (typeof named === 'string') await check(named, placeAt(tree, path), formatPath(path));
      else usesVariable = true;
    }
    const named = env[variable] ?? '';
    if (usesVariable && named !== '') await check(named, { file: `environment ${variable}`, line: 1, column: 1 }, '');
  }
  return problems.list('error', file);
}

async function faultOf(path: string, files: ConfigFiles, kind: CredentialsFile): Promise<string | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await files.read(path, MAX_FILE_BYTES + 1);
  } catch (error) {
    return `cannot be used: ${unreadable(error)}`;
  }
  if (bytes.length > MAX_FILE_BYTES) return `is larger than ${MAX_FILE_BYTES} bytes`;
  return kind.fault(Buffer.from(bytes).toString('utf8'));
}
