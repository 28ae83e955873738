import type { Descriptor } from './types.js';

/**
 * Types that verify an image: cosign 3 stores all signatures and attestations as Sigstore bundles; cosign 2's
 * experimental OCI 1.1 form and notation use their own types.
 */
const SIGNATURE = /sigstore|cosign|notary|signature|simplesigning|dsse|in-toto/i;
const SBOM = /spdx|cyclonedx|syft|sbom/i;

export type ReferrerKind = 'signature' | 'sbom' | 'other';

/** By the artifact type; lists of old tools omit it, and an entry without one may be a signature. */
export function referrerKind({ artifactType, annotations }: Descriptor): ReferrerKind {
  const type = artifactType ?? annotations?.['org.opencontainers.artifact.type'] ?? '';
  if (typeof type !== 'string' || type === '') return 'signature';
  if (SIGNATURE.test(type)) return 'signature';
  return SBOM.test(type) ? 'sbom' : 'other';
}

const ORDER: Readonly<Record<ReferrerKind, number>> = { signature: 0, other: 1, sbom: 2 };

/**
 * Signatures first, and within each kind the newest first: by their date if both have one, else by their position from
 * the end of the list, where clients append to the fallback tag.
 */
export function byImportance(referrers: readonly Descriptor[]): readonly Descriptor[] {
  return referrers
    .map((descriptor, index) => ({
      descriptor,
      index,
      kind: ORDER[referrerKind(descriptor)],
      date: dateOf(descriptor),
    }))
    .sort((a, b) => a.kind - b.kind || compareDates(a.date, b.date) || b.index - a.index)
    .map(({ descriptor }) => descriptor);
}

/** Undated ones count as the oldest, so that the order is total. */
function compareDates(a: number, b: number): number {
  return a === b ? 0 : b - a;
}

function dateOf({ annotations }: Descriptor): number {
  const text = annotations?.['org.opencontainers.image.created'];
  const date = typeof text === 'string' ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? 0 : date;
}
