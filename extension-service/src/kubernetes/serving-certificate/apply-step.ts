import type { CertificateMaterial, KeyPair } from './material.js';
import { notAfter } from './material.js';
import { LIFETIMES_MS } from './next-step.js';
import type { Step } from './next-step.js';

/** Creates keys and certificates. */
export interface Issuer {
  authority(now: number): Promise<KeyPair>;
  /** @param names DNS names and IP addresses */
  leaf(authority: KeyPair, names: readonly string[], now: number): Promise<KeyPair>;
}

/** The content of the Secret after a step. */
export async function applyStep(
  step: Step,
  material: CertificateMaterial,
  { issuer, names, now }: { readonly issuer: Issuer; readonly names: readonly string[]; readonly now: number },
): Promise<CertificateMaterial> {
  const { ca, next, rollover } = material;
  switch (step.kind) {
    case 'none':
      return material;
    case 'begin':
      return signedBy(await issuer.authority(now));
    case 'issue': {
      if (ca === undefined) throw new Error('a certificate needs a CA');
      return { ...material, leaf: await issuer.leaf(ca, names, now) };
    }
    case 'announce':
      return { ...material, next: await issuer.authority(now), rollover: { reason: step.reason } };
    case 'hasten': {
      const soon = now + LIFETIMES_MS.overlap.asked;
      const signFrom = rollover?.signFrom === undefined ? undefined : Math.min(rollover.signFrom, soon);
      return { ...material, rollover: { reason: 'asked', ...(signFrom !== undefined && { signFrom }) } };
    }
    case 'confirm': {
      const reason = rollover?.reason ?? 'due';
      return { ...material, rollover: { reason, signFrom: now + LIFETIMES_MS.overlap[reason] } };
    }
    case 'sign': {
      if (next === undefined) throw new Error('there is no next CA');
      return signedBy(next);
    }
    case 'forget':
      return { ...material, retired: material.retired.filter(({ until }) => until > now) };
  }

  async function signedBy(signer: KeyPair): Promise<CertificateMaterial> {
    // A replica that cannot reach the API server presents its certificate until that expires.
    const old =
      ca === undefined ? [] : [{ cert: ca.cert, until: Math.min(notAfter(ca.cert), now + LIFETIMES_MS.leaf) }];
    return {
      ca: signer,
      leaf: await issuer.leaf(signer, names, now),
      retired: [...old, ...material.retired],
    };
  }
}
