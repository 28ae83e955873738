import { formatPlatform } from '../core/image/platform.js';
import { attestedDigest } from './manifest.js';
import type { Descriptor } from './types.js';

/**
 * Children that an index of the source lists but that the source no longer has, while nodes still run the others; and
 * attestations that the target does not accept.
 */
export class MissingChildren {
  readonly #attestations = new Map<string, Descriptor>();
  /** The target's reasons by digest. */
  readonly #rejected = new Map<string, string>();
  readonly #platforms = new Map<string, Descriptor>();

  /** @param wanted `mirror.platforms` */
  constructor(private readonly wanted: 'all' | readonly string[]) {}

  add(child: Descriptor): void {
    (isAttestation(child) ? this.#attestations : this.#platforms).set(child.digest, child);
  }

  /** @returns whether the image can be used without the child, because it is an attestation */
  addRejected(child: Descriptor, reason: string): boolean {
    if (!isAttestation(child)) return false;
    this.#attestations.set(child.digest, child);
    this.#rejected.set(child.digest, reason);
    return true;
  }

  /** Digests of attestations: provenance and SBOMs that BuildKit adds, which no node pulls. */
  get attestations(): ReadonlySet<string> {
    return new Set(this.#attestations.keys());
  }

  warnings(): readonly string[] {
    return [...this.#attestations.values()].map((child) => {
      const rejection = this.#rejected.get(child.digest);
      const state =
        rejection === undefined ? 'is no longer at the source' : `is not accepted by the target: ${rejection}`;
      return `${attestationText(child)} ${state}`;
    });
  }

  /**
   * Why the index cannot be copied; undefined if no platform is missing. `named`: platforms of the index, by digest.
   */
  problem(named: readonly (readonly [string, string])[]): string | undefined {
    if (this.#platforms.size === 0) return undefined;
    const gone = [...this.#platforms.values()].map((child) => `${platformText(child)} (${child.digest})`).join(', ');
    const rest = named.filter(([, digest]) => !this.#platforms.has(digest)).map(([platform]) => platform);
    const way =
      rest.length === 0 || this.#areAllRequested(rest)
        ? ''
        : `, or set mirror.platforms to the existing platforms: [${[...new Set(rest)].sort().join(', ')}]`;
    return `the source's index is incomplete: ${gone} no longer exists; push the image again${way}`;
  }

  /** Nested indexes stay whole under `mirror.platforms`: they may lack a platform that is not wanted. */
  #areAllRequested(platforms: readonly string[]): boolean {
    return this.wanted !== 'all' && this.wanted.every((platform) => platforms.includes(platform));
  }

  /** Why a target may have rejected the index; undefined if nothing is missing in it. */
  refusal(): string | undefined {
    if (this.#attestations.size === 0) return undefined;
    const way =
      this.wanted === 'all'
        ? 'set mirror.platforms, so that the index is written without it'
        : 'refer to the image by tag, so that the index can be written without it';
    const again = ', or push the image again';
    const [rejected] = this.#rejected;
    if (rejected !== undefined) {
      const [digest, reason] = rejected;
      return `the target accepts neither the attestation ${digest} (${reason}) nor the index without it; ${way}${again} without attestations`;
    }
    const gone = [...this.#attestations.values()].map(attestationText).join(', ');
    return `the source's index is incomplete: ${gone} no longer exists, and the target rejects the index; ${way}${again}`;
  }
}

function isAttestation(child: Descriptor): boolean {
  return attestedDigest(child) !== undefined || child.platform?.os === 'unknown';
}

function attestationText(child: Descriptor): string {
  const attested = attestedDigest(child);
  return `the attestation ${child.digest}${attested === undefined ? '' : ` of ${attested}`}`;
}

function platformText({ platform }: Descriptor): string {
  return platform === undefined ? 'an entry without a platform' : formatPlatform(platform);
}
