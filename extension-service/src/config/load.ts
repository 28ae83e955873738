import { join, resolve } from 'node:path';
import { credentialFileProblems } from './credential-files.js';
import { dockerConfigWarnings } from './docker-config-warnings.js';
import { fileNames } from './file-names.js';
import type { ConfigFiles } from './files.js';
import { localFiles } from './files.js';
import { codeOf, unreadable } from '../util/unreadable.js';
import { gateFileProblems } from './gate-files.js';
import type { ConfigInput, LoadedConfig } from './parse.js';
import { parseTree } from './parse.js';
import type { ConfigProblem } from './problem.js';
import { ConfigError, NO_FILE, NoConfigFileError } from './problem.js';
import { sizeLimit } from './yaml.js';

export type { LoadedConfig } from './parse.js';

export interface LoadOptions {
  /** The file; without it, {@link fileNames} are searched in `cwd` and in `env.HOME`. */
  readonly path?: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Dotted keys; an undefined value was not given. */
  readonly flags: Readonly<Record<string, unknown>>;
  /**
   * Set to false if the files that the configuration names are elsewhere, for example when rendering policies for a
   * cluster.
   * @default true
   */
  readonly checkFiles?: boolean;
  /** Whether the file may be Helm values of our chart, whose `config` is the configuration. @default false */
  readonly helmValues?: boolean;
}

/**
 * Finds, reads and checks the configuration. Without a file, flags and the environment are the whole configuration.
 * @throws ConfigError with every problem, including an unreadable file
 */
export async function loadConfig(options: LoadOptions, files: ConfigFiles = localFiles): Promise<LoadedConfig> {
  const { path, cwd, env } = options;
  const parse = (input: Pick<ConfigInput, 'text' | 'file'>): Promise<LoadedConfig> =>
    parseWithFiles(input, options, files);
  if (path !== undefined) {
    const file = resolve(cwd, path);
    const bytes = await files.read(file, sizeLimit + 1).catch((error: unknown) => fail(path, unreadable(error)));
    const text = decode(bytes, path);
    return { ...(await parse({ text, file: path })), file, text };
  }
  const candidates = searched(cwd, env['HOME']);
  const found = await firstFound(candidates, files);
  if (found === undefined) {
    try {
      return await parse({ text: '', file: NO_FILE });
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const names = candidates.map(({ name }) => name).join(', ');
      const missing = problem(NO_FILE, `no configuration file was found: ${names}; name one with --config`);
      throw new NoConfigFileError([missing, ...error.problems]);
    }
  }
  const { name, file, bytes } = found;
  const text = decode(bytes, name);
  return { ...(await parse({ text, file: name })), file, text };
}

/** Problems of files that a configuration names are reported at the line that names them. */
async function parseWithFiles(
  input: Pick<ConfigInput, 'text' | 'file'>,
  { cwd, env, flags, checkFiles = true, helmValues = false }: LoadOptions,
  files: ConfigFiles,
): Promise<LoadedConfig> {
  const { loaded, tree } = parseTree({ ...input, env, flags, helmValues });
  if (!checkFiles) return loaded;
  const problems = [...(await credentialFileProblems(loaded.config, tree, { cwd, env, file: input.file, files }))];
  const gates = await gateFileProblems(loaded.config, tree, { cwd, file: input.file, files });
  problems.push(...gates);
  if (problems.length > 0) throw new ConfigError(problems);
  const helpers = await dockerConfigWarnings(loaded.config, tree, { cwd, file: input.file, files });
  return { ...loaded, warnings: [...loaded.warnings, ...helpers] };
}

interface Candidate {
  /** For messages. */
  readonly name: string;
  readonly file: string;
}

function searched(cwd: string, home: string | undefined): readonly Candidate[] {
  const here = fileNames.map((name) => ({ name, file: resolve(cwd, name) }));
  if (home === undefined || home === '' || resolve(home) === resolve(cwd)) return here;
  return [...here, ...fileNames.map((name) => ({ name: join(home, name), file: resolve(home, name) }))];
}

async function firstFound(
  candidates: readonly Candidate[],
  files: ConfigFiles,
): Promise<(Candidate & { readonly bytes: Uint8Array }) | undefined> {
  for (const candidate of candidates) {
    try {
      return { ...candidate, bytes: await files.read(candidate.file, sizeLimit + 1) };
    } catch (error) {
      // An existing file that cannot be read must not be skipped silently.
      const code = codeOf(error);
      if (code !== 'ENOENT' && code !== 'ENOTDIR') fail(candidate.name, unreadable(error));
    }
  }
  return undefined;
}

function decode(bytes: Uint8Array, name: string): string {
  if (bytes.length > sizeLimit) fail(name, `the file is too large: the maximum is ${sizeLimit} bytes`);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return fail(name, 'the file is not valid UTF-8 text');
  }
}

function fail(file: string, message: string): never {
  throw new ConfigError([problem(file, message)]);
}

function problem(file: string, message: string): ConfigProblem {
  return { file, line: 1, column: 1, key: '', message, severity: 'error' };
}
