import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { stringify } from 'yaml';
import { makeCertificates } from '../../fakes/certificates.js';
import type { Certificates } from '../../fakes/certificates.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { runHere, runProgram } from '../../fakes/program.js';
import type { ProgramResult } from '../../fakes/program.js';

/** `app:1.0` of the source. */
export const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'] });

/** Runs command lines and returns exit code, stdout and stderr. Each test has its own registries. */
export function useCli(): Cli {
  const cli = new Cli();
  beforeAll(async () => {
    cli.certificates = await makeCertificates({ hosts: ['127.0.0.1'] });
    cli.folder = await mkdtemp(join(tmpdir(), 'image-swapper-cli-'));
  });
  afterAll(() => rm(cli.folder, { recursive: true }));
  beforeEach(async () => {
    cli.source = await FakeRegistry.start();
    cli.target = await FakeRegistry.start();
    loadImage(cli.source, 'app', image, '1.0');
  });
  afterEach(async () => {
    await Promise.all([cli.source.close(), cli.target.close()]);
  });
  return cli;
}

export class Cli {
  /** The working folder of the program. */
  folder!: string;
  source!: FakeRegistry;
  target!: FakeRegistry;
  certificates!: Certificates;

  /** Runs the command line in this process. */
  swapper(args: readonly string[], input = '', env: Record<string, string> = {}): Promise<ProgramResult> {
    return runHere(args, { env: { HOME: this.folder, ...env }, cwd: this.folder, input });
  }

  /** Runs the built program as users do. */
  spawned(args: readonly string[], input = '', env: Record<string, string> = {}): Promise<ProgramResult> {
    return runProgram(args, { HOME: this.folder, ...env }, this.folder, input);
  }

  /** Writes a configuration with these registries. */
  async config(more: Record<string, unknown> = {}, name = 'image-swapper.yaml'): Promise<string> {
    const file = join(this.folder, name);
    const text = stringify({
      target: { type: 'oci', oci: { registry: this.target.host, prefix: 'mirror', insecure: true } },
      source: {
        filters: [{ jmespath: "obj.metadata.namespace == 'kube-system'" }],
        registries: [{ type: 'oci', oci: { registry: this.source.host, insecure: true } }],
      },
      ...more,
    });
    await writeFile(file, text);
    return file;
  }

  /** The repository of `app` in the target. */
  repository(): string {
    return `mirror/${this.source.host.replace(':', '_')}/app`;
  }
}
