import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { debianTool } from '../tools/debian.js';

const run = promisify(execFile);
const START_ATTEMPTS = 600;
/** Maximum size of the output in bytes. A fetch writes its progress ten times per second. */
const MAX_OUTPUT = 2 ** 28;

/** Debian's containerd, the runtime of most nodes, with a separate store. Needs root. */
export class Containerd {
  private fetches = 0;

  private constructor(
    private readonly folder: string,
    private readonly daemon: ChildProcess,
    private readonly ctr: string,
  ) {}

  static async start(): Promise<Containerd> {
    const program = debianTool('containerd');
    const ctr = debianTool('ctr', 'containerd');
    if (program === undefined || ctr === undefined)
      throw new Error('containerd is required: install the Debian package');
    const folder = await mkdtemp(join(tmpdir(), 'image-swapper-containerd-'));
    const config = [
      'version = 2',
      `root = "${folder}/root"`,
      `state = "${folder}/state"`,
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
      '[grpc]',
      `address = "${folder}/sock"`,
      // A namespace does not see content that another namespace has fetched.
      '[plugins."io.containerd.metadata.v1.bolt"]',
      'content_sharing_policy = "isolated"',
    ];
    await writeFile(join(folder, 'config.toml'), config.join('\n'));
    const daemon = spawn(program, ['--config', join(folder, 'config.toml')], { stdio: 'ignore' });
    const containerd = new Containerd(folder, daemon, ctr);
    for (let attempt = 0; attempt < START_ATTEMPTS && daemon.exitCode === null; attempt += 1) {
      const up = await containerd.run('test', 'version').then(
        () => true,
        () => false,
      );
      if (up) return containerd;
      await sleep(50);
    }
    await containerd.stop();
    throw new Error('containerd did not start');
  }

  /**
   * Fetches all content of a reference into an empty store, as a node does before it unpacks.
   *
   * @returns the digests that containerd then has, or the last line of its error
   */
  async fetch(
    reference: string,
    login?: { readonly username: string; readonly password: string },
  ): Promise<{ readonly digests: readonly string[] } | { readonly refusal: string }> {
    // Each fetch uses a new namespace, so that its store is empty.
    this.fetches += 1;
    const user = login === undefined ? [] : ['--user', `${login.username}:${login.password}`];
    const namespace = `fetch-${this.fetches}`;
    try {
      await this.run(namespace, 'content', 'fetch', '--plain-http', '--all-platforms', ...user, reference);
    } catch (error) {
      const { stderr = '' } = error as { readonly stderr?: string };
      if (stderr.trim() === '') throw error;
      return { refusal: withoutHost(stderr.trim().split('\n').at(-1) ?? '') };
    }
    const { stdout } = await this.run(namespace, 'content', 'ls', '--quiet');
    return { digests: stdout.trim().split('\n').sort() };
  }

  async stop(): Promise<void> {
    if (this.daemon.exitCode === null && this.daemon.signalCode === null) {
      this.daemon.kill();
      await once(this.daemon, 'exit');
    }
    await rm(this.folder, { recursive: true, force: true });
  }

  private run(
    namespace: string,
    ...args: readonly string[]
  ): Promise<{ readonly stdout: string; readonly stderr: string }> {
    const options = ['--address', join(this.folder, 'sock'), '--namespace', namespace];
    return run(this.ctr, [...options, ...args], { maxBuffer: MAX_OUTPUT });
  }
}

/** Normalizes a refusal, so that two registries with the same refusal have the same text. */
function withoutHost(text: string): string {
  return text.replaceAll(/127\.0\.0\.1:\d+\S*/g, 'REFERENCE').replace(/^time=\S+ /, '');
}
