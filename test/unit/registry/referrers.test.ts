import { describe, expect, it } from 'vitest';
import { CopiedReferrers, fingerprintOf } from '../../../extension-service/src/registry/copied-referrers.js';
import { HeldTags } from '../../../extension-service/src/registry/held-tags.js';
import { byImportance, referrerKind } from '../../../extension-service/src/registry/referrer-kinds.js';
import { fallbackTag } from '../../../extension-service/src/registry/referrers-list.js';
import type { Descriptor } from '../../../extension-service/src/registry/types.js';

function descriptor(digit: string, artifactType?: string, created?: string): Descriptor {
  return {
    ...{ mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: `sha256:${digit.repeat(64)}`, size: 1 },
    ...(artifactType !== undefined && { artifactType }),
    ...(created !== undefined && { annotations: { 'org.opencontainers.image.created': created } }),
  };
}

describe('the kind of a referrer', () => {
  it.each([
    ['application/vnd.dev.sigstore.bundle.v0.3+json', 'signature'],
    ['application/vnd.cncf.notary.signature', 'signature'],
    ['application/vnd.dev.cosign.artifact.sig.v1+json', 'signature'],
    ['application/vnd.in-toto+json', 'signature'],
    [undefined, 'signature'],
    ['application/spdx+json', 'sbom'],
    ['application/vnd.cyclonedx+json', 'sbom'],
    ['application/vnd.acme.scan+json', 'other'],
  ])('%j is %s', (type, kind) => {
    expect(referrerKind(descriptor('a', type))).toBe(kind);
  });

  it('puts signatures first, and the newest of each kind, by date or by their position in the list', () => {
    const sbom = descriptor('1', 'application/spdx+json');
    const old = descriptor('2', 'application/vnd.cncf.notary.signature', '2026-01-01T00:00:00Z');
    const other = descriptor('3', 'application/x');
    const recent = descriptor('4', 'application/vnd.cncf.notary.signature', '2026-02-01T00:00:00Z');
    const [first, last] = [descriptor('5', 'application/y'), descriptor('6', 'application/y')];
    expect(byImportance([sbom, old, other, recent, first, last])).toEqual([recent, old, last, first, other, sbom]);
  });
});

describe('the fallback tag', () => {
  it('is the digest with a dash, of 64 digits at most', () => {
    expect(fallbackTag(`sha256:${'a'.repeat(64)}`)).toBe(`sha256-${'a'.repeat(64)}`);
    expect(fallbackTag(`sha512:${'b'.repeat(128)}`)).toBe(`sha512-${'b'.repeat(64)}`);
  });
});

describe('lists that were copied', () => {
  it('are equal for the same digests in any order, and due again when unknown, unfinished or old', () => {
    let now = 0;
    const copied = new CopiedReferrers(() => now);
    const [a, b] = [descriptor('a'), descriptor('b')];
    expect(fingerprintOf([a, b])).toBe(fingerprintOf([b, a]));
    expect(fingerprintOf([a])).not.toBe(fingerprintOf([a, b]));
    expect(copied.isDue('x', 1_000)).toBe(true);
    copied.set('x', undefined);
    expect([copied.isDue('x', 1_000), copied.isUnfinished('x')]).toEqual([true, true]);
    copied.set('x', fingerprintOf([a]));
    expect([copied.isDue('x', 1_000), copied.isUnfinished('x')]).toEqual([false, false]);
    now = 1_000;
    expect(copied.isDue('x', 1_000)).toBe(true);
  });
});

describe('a tag that waits for signatures', () => {
  it('waits for two attempts, and restarts after it was published', () => {
    const held = new HeldTags(() => 0);
    expect([held.hold('x'), held.hold('x'), held.hold('x'), held.hold('x')]).toEqual([1, 2, undefined, 1]);
    held.release('x');
    expect(held.hold('x')).toBe(1);
  });

  it('waits for ten minutes at most', () => {
    let now = 0;
    const held = new HeldTags(() => now);
    expect(held.hold('x')).toBe(1);
    now = 10 * 60_000;
    expect(held.hold('x')).toBeUndefined();
  });
});
