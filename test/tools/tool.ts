import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export interface GoToolOptions {
  /** The folder under test/tools with the go.mod that pins the versions. */
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
 * Path of a command built from a Go module that is pinned here; built when it is not in the cache yet, which can take
 * minutes: `$XDG_CACHE_HOME/image-swapper/tools/MODULE-HASH/COMMAND`, the hash being that of go.mod and go.sum.
 * Processes that want the same command wait for the one that builds it.
 */
export async function goTool(options: GoToolOptions): Promise<string> {
  const source = fileURLToPath(new URL(options.module, import.meta.url));
  // Of a program of our own, its source says what is built.
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

/** The folder of several commands of one module, built at once: what they share is linked from one build. */
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

/** The folder of a module that is pinned here, as the Go command downloaded it: its charts and CRDs are read there. */
export async function goModule(module: string, path: string): Promise<string> {
  const source = fileURLToPath(new URL(module, import.meta.url));
  // A build would download what it compiles; a module that is only read from must be asked for.
  const output = await run('go', ['mod', 'download', '-json', path], source);
  return (JSON.parse(output) as { readonly Dir: string }).Dir;
}

/** Has `make` make a file of the cache unless it is there; of several processes one makes it and the others wait. */
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
 * Whether tests that need a Go tool can run. In CI they always do, and fail there without Go; elsewhere it is said loudly
 * that they are left out.
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
    // Under its name only when it is whole.
    await rename(unfinished, command);
  } catch (error) {
    throw new Error(`cannot build ${path} in ${source}; is Go installed and its module proxy reachable?`, {
      cause: error,
    });
  } finally {
    await rm(unfinished, { force: true });
  }
}

/** The folder of a tool in the cache, by the content of what pins its version. */
export function cacheFolder(name: string, ...pins: readonly (string | Buffer)[]): string {
  const hash = createHash('sha256');
  for (const pin of pins) hash.update(pin);
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  return join(cache, 'image-swapper', 'tools', `${name}-${hash.digest('hex').slice(0, 12)}`);
}

/** Takes the lock file unless another living process has it. */
async function acquire(lock: string): Promise<boolean> {
  try {
    await writeFile(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const holder = Number(await readFile(lock, 'utf8').catch(() => '0'));
  const age = Date.now() - (await stat(lock).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs;
  // A lock that was made just now may have no process id in it yet.
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
