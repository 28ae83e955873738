import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export interface GoToolOptions {
  /** Folder under test/tools with the go.mod that pins the versions. */
  readonly module: string;
  /** Import path of the command; `.` for a program in that folder. */
  readonly package: string;
  /** Name of the built file. @default the last part of `package` */
  readonly command?: string;
  /** Values that the linker puts into string variables, such as a version that a release build carries. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Build tags, such as the database drivers to include. */
  readonly tags?: readonly string[];
}

/**
 * Returns the path of a command that is built from a pinned Go module:
 * `$XDG_CACHE_HOME/image-swapper/tools/MODULE-HASH/COMMAND`, with the hash of go.mod and go.sum. Builds the command
 * when the cache does not have it, which can take minutes. Only one process builds it; others wait.
 */
export async function goTool(options: GoToolOptions): Promise<string> {
  const source = fileURLToPath(new URL(options.module, import.meta.url));
  // The cache key of one of our own programs includes its source files.
  const own = options.package.startsWith('.') ? (await readdir(source)).filter((file) => file.endsWith('.go')) : [];
  const pins = await Promise.all(['go.mod', 'go.sum', ...own.sort()].map((file) => readFile(join(source, file))));
  const variables = Object.entries(options.variables ?? {}).map(([name, value]) => `-X ${name}=${value}`);
  const tags = options.tags ?? [];
  const folder = cacheFolder(options.module, ...pins, ...variables, ...tags);
  const command = join(folder, options.command ?? basename(options.package));
  const flags = [
    `-ldflags=${['-s -w', ...variables].join(' ')}`,
    ...(tags.length > 0 ? [`-tags=${tags.join(',')}`] : []),
  ];
  await makeOnce(command, () => build(options.package, flags, source, command));
  return command;
}

/** Builds several commands of one module together, so that shared packages compile once. Returns their folder. */
export async function goTools({
  module,
  packages,
  variables = {},
}: Omit<GoToolOptions, 'package' | 'command'> & { readonly packages: readonly string[] }): Promise<string> {
  const source = fileURLToPath(new URL(module, import.meta.url));
  const pins = await Promise.all(['go.mod', 'go.sum'].map((file) => readFile(join(source, file))));
  const flags = ['-s -w', ...Object.entries(variables).map(([name, value]) => `-X ${name}=${value}`)];
  const folder = cacheFolder(module, ...pins, ...packages, ...flags);
  await makeOnce(join(folder, 'complete'), async () => {
    process.stderr.write(`building ${packages.join(', ')} (once for this version; it can take some minutes)\n`);
    await run('go', ['build', '-trimpath', `-ldflags=${flags.join(' ')}`, '-o', `${folder}/`, ...packages], source);
    await writeFile(join(folder, 'complete'), '');
  });
  return folder;
}

/** Downloads a pinned Go module and returns its folder, from which tests read the module's charts and CRDs. */
export async function goModule(module: string, path: string): Promise<string> {
  const source = fileURLToPath(new URL(module, import.meta.url));
  // `go build` downloads the modules that it compiles. Other modules need an explicit download.
  const output = await run('go', ['mod', 'download', '-json', path], source);
  return (JSON.parse(output) as { readonly Dir: string }).Dir;
}

/** Calls `make` to create a file in the cache unless it exists. Only one process creates the file; others wait. */
export async function makeOnce(path: string, make: () => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  if (await exists(path)) return;
  const lock = `${path}.lock`;
  while (!(await acquire(lock))) await sleep(1000);
  try {
    if (!(await exists(path))) await make();
  } finally {
    await rm(lock, { force: true });
  }
}

/**
 * Returns whether the tests that need a Go tool can run. In CI, the answer is always true, so those tests fail without
 * Go. Elsewhere, a message on stderr says that they are skipped.
 */
export async function goToolsAvailable(what: string): Promise<boolean> {
  if (process.env['CI'] !== undefined && process.env['CI'] !== '') return true;
  const found = await run('go', ['version']).then(
    () => true,
    () => false,
  );
  if (!found) {
    process.stderr.write(
      `\n*** SKIPPED: ${what}: there is no "go" on the PATH to build the tool; install Go 1.26 ***\n\n`,
    );
  }
  return found;
}

async function build(path: string, flags: readonly string[], source: string, command: string): Promise<void> {
  process.stderr.write(`building ${path} (once for this version; it can take some minutes)\n`);
  const unfinished = `${command}.${randomUUID()}`;
  try {
    await run('go', ['build', '-trimpath', ...flags, '-o', unfinished, path], source);
    // The command gets its final name only after the build has finished.
    await rename(unfinished, command);
  } catch (error) {
    throw new Error(`cannot build ${path} in ${source}; is Go installed and its module proxy reachable?`, {
      cause: error,
    });
  } finally {
    await rm(unfinished, { force: true });
  }
}

/** The cache folder of a tool. Its name contains a hash of `pins`, the content of the files that pin the version. */
export function cacheFolder(name: string, ...pins: readonly (string | Buffer)[]): string {
  const hash = createHash('sha256');
  for (const pin of pins) hash.update(pin);
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(cache, 'image-swapper', 'tools', `${name}-${hash.digest('hex').slice(0, 12)}`);
}

/** Tries to take the lock file. Removes a stale lock, so that the next try can succeed. */
async function acquire(lock: string): Promise<boolean> {
  try {
    await writeFile(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const holder = Number(await readFile(lock, 'utf8').catch(() => '0'));
  const age = Date.now() - (await stat(lock).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs;
  // The holder of a recent lock may not have written its process ID yet.
  if (age > 5000 && !isAlive(holder)) await rm(lock, { force: true });
  return false;
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/**
 * Returns the stdout of the command.
 *
 * @throws Error with the end of its stderr when it fails
 */
export async function run(command: string, args: readonly string[], cwd?: string): Promise<string> {
  return new Promise<string>((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`${command} ${args[0] ?? ''} ended with ${code}: ${stderr.slice(-4000)}`));
    });
  });
}
