import { execFileSync, spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';

/** An image's configuration; the part of the OCI image specification that the tests read. */
export interface ImageConfig {
  readonly architecture: string;
  readonly os: string;
  readonly config: {
    readonly User: string;
    readonly Env: readonly string[];
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[];
    readonly WorkingDir: string;
    readonly Labels: Readonly<Record<string, string>>;
  };
}

/**
 * Runs an image's program as a kubelet would, as far as possible without a container runtime. It uses the image's files
 * as a read-only root, the image's entry point, user and environment, and the machine's /proc and /dev. Needs root.
 */
export class ImageRoot {
  constructor(
    private readonly folder: string,
    private readonly image: ImageConfig,
  ) {}

  /** Unpacks the output of `crane export`. */
  static unpack(tar: string, folder: string, image: ImageConfig): ImageRoot {
    mkdirSync(folder, { recursive: true });
    execFileSync('tar', ['-xpf', tar, '-C', folder]);
    return new ImageRoot(folder, image);
  }

  run(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const [command, ...rest] = this.command(this.image.config.Entrypoint, args);
    const { status, stdout, stderr } = spawnSync(command ?? '', rest, { encoding: 'utf8', env: this.env(env) });
    return { status, stdout, stderr };
  }

  /** Runs a script with the image's Node instead of the service. */
  node(script: string): string {
    const [command, ...rest] = this.command(['/usr/bin/node'], ['-e', script]);
    return execFileSync(command ?? '', rest, { encoding: 'utf8', env: this.env({}) }).trim();
  }

  start(args: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
    const [command, ...rest] = this.command(this.image.config.Entrypoint, args);
    return spawn(command ?? '', rest, { env: this.env(env), stdio: ['ignore', 'pipe', 'pipe'] });
  }

  private env(more: Readonly<Record<string, string>>): Record<string, string> {
    const own = this.image.config.Env.map((pair): [string, string] => {
      const at = pair.indexOf('=');
      return [pair.slice(0, at), pair.slice(at + 1)];
    });
    // The PATH also finds this machine's tools, which enter the root.
    return { ...Object.fromEntries(own), PATH: process.env['PATH'] ?? '', ...more };
  }

  private command(entryPoint: readonly string[], args: readonly string[]): readonly string[] {
    const enter = [
      'set -e; root=$1; user=$2; shift 2',
      'mount --bind "$root" "$root"; mount -o remount,ro,bind "$root"',
      'for folder in proc dev; do mount --rbind "/$folder" "$root/$folder"; done',
      'exec chroot --userspec="$user" "$root" "$@"',
    ].join('\n');
    const isolated = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', enter, 'sh'];
    return [...isolated, this.folder, this.image.config.User, ...entryPoint, ...args];
  }
}
