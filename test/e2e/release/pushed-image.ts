import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { RealRegistry } from '../../fakes/real-registry.js';
import { craneProgram } from '../../tools/crane.js';
import type { ImageConfig } from '../image-root.js';
import { version } from './made-release.js';
import type { MadeRelease } from './made-release.js';

/** The release's image in a registry, which crane reads. */
export class PushedImage {
  private constructor(
    readonly registry: RealRegistry,
    readonly reference: string,
    private readonly crane: string,
  ) {}

  static async push(made: MadeRelease, skopeo: string): Promise<PushedImage> {
    const crane = await craneProgram();
    const registry = await RealRegistry.start();
    const reference = `${registry.host}/image-swapper:${version}`;
    // The commands are those of docs/release.md.
    execFileSync(skopeo, [
      ...['copy', '--all', '--preserve-digests', '--quiet', '--dest-tls-verify=false'],
      `oci-archive:${join(made.release, `image-swapper-${version}.oci.tar`)}`,
      `docker://${reference}`,
    ]);
    return new PushedImage(registry, reference, crane);
  }

  ask(...args: string[]): string {
    return execFileSync(this.crane, ['--insecure', ...args], { encoding: 'utf8' }).trim();
  }

  config(platform: string): ImageConfig {
    return JSON.parse(this.ask('config', '--platform', platform, this.reference)) as ImageConfig;
  }
}
