import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

/** Copies take seconds. Without a pause, the polling took a third of the test's CPU time. */
const ROUND_PAUSE_MS = 150;
const TYPES = ['application/vnd.oci.image.index.v1+json', 'application/vnd.oci.image.manifest.v1+json'].join(', ');

interface Descriptor {
  readonly digest: string;
  readonly size: number;
}
interface Manifest {
  readonly manifests?: readonly Descriptor[];
  readonly layers?: readonly Descriptor[];
  readonly config?: Descriptor;
}

/**
 * Polls a registry for tags and pulls each tag as soon as it exists, as a node would. A tag must be complete as soon as
 * it is visible.
 */
export class Puller {
  readonly pulled = new Map<string, string>();
  /** Visible tags with missing parts, and the missing parts. */
  readonly broken: string[] = [];
  private stopped = false;
  private running: Promise<void> | undefined;

  /** @param repositories each has the tag `1` */
  constructor(
    private readonly registry: string,
    private readonly repositories: readonly string[],
  ) {}

  start(): void {
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  /** @throws Error that lists the missing images when the time limit is reached */
  async complete(seconds: number, why: () => string): Promise<void> {
    const deadline = Date.now() + seconds * 1_000;
    while (this.pulled.size < this.repositories.length && this.broken.length === 0) {
      if (Date.now() > deadline) {
        const missing = this.repositories.filter((repository) => !this.pulled.has(repository));
        throw new Error(
          `${missing.length} not mirrored after ${seconds} s: ${missing.slice(0, 5).join(' ')}\n${why()}`,
        );
      }
      await sleep(50);
    }
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      for (const repository of this.repositories) {
        if (this.stopped || this.pulled.has(repository)) continue;
        await this.pull(repository).catch((error: unknown) => this.broken.push(`${repository}: ${String(error)}`));
      }
      await sleep(ROUND_PAUSE_MS);
    }
  }

  private async pull(repository: string): Promise<void> {
    const top = await fetch(`http://${this.registry}/v2/${repository}/manifests/1`, { headers: { accept: TYPES } });
    const bytes = Buffer.from(await top.arrayBuffer());
    // The registry throttles, or the tag is not available yet.
    if (top.status !== 200) return;
    await this.pullManifest(repository, bytes);
    this.pulled.set(repository, digestOf(bytes));
  }

  private async pullManifest(repository: string, bytes: Buffer): Promise<void> {
    const { manifests = [], layers = [], config } = JSON.parse(bytes.toString('utf8')) as Manifest;
    for (const child of manifests) {
      await this.pullManifest(repository, await this.read(`${repository}/manifests/${child.digest}`, child));
    }
    for (const blob of [...layers, ...(config === undefined ? [] : [config])]) {
      await this.read(`${repository}/blobs/${blob.digest}`, blob);
    }
  }

  /** @throws Error if the registry's content does not match the manifest */
  private async read(path: string, { digest, size }: Descriptor): Promise<Buffer> {
    for (;;) {
      const response = await fetch(`http://${this.registry}/v2/${path}`, { headers: { accept: TYPES } });
      const bytes = Buffer.from(await response.arrayBuffer());
      if (response.status === 429) {
        await sleep(100);
        continue;
      }
      if (response.status !== 200) throw new Error(`${path}: status ${response.status}`);
      if (bytes.length !== size || digestOf(bytes) !== digest) throw new Error(`${path}: other bytes`);
      return bytes;
    }
  }
}

export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
