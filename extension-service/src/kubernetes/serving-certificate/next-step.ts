import { X509Certificate } from 'node:crypto';
import type { CertificateMaterial } from './material.js';
import { namesOf, notAfter, notBefore } from './material.js';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** Lifetimes of certificates in milliseconds, and the time before a new CA signs. */
export const LIFETIMES_MS = {
  authority: 5 * 365 * DAY_MS,
  leaf: 90 * DAY_MS,
  /** Valid from a time shortly before, because clocks differ. */
  backdated: 60 * MINUTE_MS,
  /**
   * The time between the moment when every known verifier has the next CA and the moment when that CA signs. For a
   * scheduled rotation there is no hurry, and trust stores that a person maintains get this time; an operator who
   * requests a rotation has a reason.
   */
  overlap: { due: 30 * DAY_MS, asked: 10 * MINUTE_MS },
} as const;

/** The next step for the Secret, with the reason for the log. */
export type Step =
  | { readonly kind: 'none' }
  /** Creates a first CA, and a certificate signed by it. */
  | { readonly kind: 'begin'; readonly reason: string }
  /** Creates another certificate with the same CA. */
  | { readonly kind: 'issue'; readonly reason: string }
  /** Creates the next CA, and adds it to the bundle only. */
  | { readonly kind: 'announce'; readonly reason: 'due' | 'asked' }
  /** The requested step is already under way. */
  | { readonly kind: 'hasten' }
  /** The bundle with the next CA is published everywhere: its overlap starts now. */
  | { readonly kind: 'confirm' }
  /** The next CA becomes the signing one. */
  | { readonly kind: 'sign'; readonly reason: string }
  /** Retired CAs are removed from the bundle. */
  | { readonly kind: 'forget' };

export interface StepInput {
  /** The required names of the certificate. */
  readonly names: readonly string[];
  /** The operator's request. */
  readonly asked?: 'leaf' | 'ca';
  /** Every known verifier has the bundle that is now in the Secret. */
  readonly published: boolean;
}

/**
 * One step at a time, so that every certificate that a replica may present can always be verified with every bundle
 * that a verifier may have: a CA is known everywhere before it signs, and until its last certificate is gone.
 */
export function nextStep(material: CertificateMaterial, now: number, input: StepInput): Step {
  const { ca, next, leaf, rollover, retired } = material;
  const { names, asked, published } = input;
  if (ca === undefined || notAfter(ca.cert) <= now) {
    const reason = ca === undefined ? 'there is no CA' : 'the CA expired';
    return next === undefined ? { kind: 'begin', reason } : { kind: 'sign', reason };
  }
  const unusable = unusableReason(material, now);
  if (leaf === undefined || unusable !== undefined) {
    return { kind: 'issue', reason: unusable ?? 'there is none' };
  }
  if (asked === 'leaf') return { kind: 'issue', reason: 'requested' };
  if (asked === 'ca') {
    if (next === undefined) return { kind: 'announce', reason: 'asked' };
    return { kind: 'hasten' };
  }
  if (next !== undefined && published) {
    if (rollover?.signFrom === undefined) return { kind: 'confirm' };
    if (rollover.signFrom <= now) return { kind: 'sign', reason: 'every caller trusts the next CA' };
  }
  if (!sameNames(namesOf(leaf.cert), names)) return { kind: 'issue', reason: 'tls.dnsNames changed' };
  if (isDue(leaf.cert, now)) return { kind: 'issue', reason: 'two thirds of its lifetime have passed' };
  if (next === undefined && isDue(ca.cert, now)) return { kind: 'announce', reason: 'due' };
  if (retired.some(({ until }) => until <= now)) return { kind: 'forget' };
  return { kind: 'none' };
}

/** Why no replica could present this certificate; undefined if one can. */
export function unusableReason({ ca, leaf, retired }: CertificateMaterial, now: number): string | undefined {
  if (leaf === undefined) return 'there is none';
  if (notAfter(leaf.cert) <= now) return 'it expired';
  const certificate = new X509Certificate(leaf.cert);
  const authorities = [ca?.cert, ...retired.map(({ cert }) => cert)].filter((cert) => cert !== undefined);
  const signed = authorities.some((cert) => {
    const issuer = new X509Certificate(cert);
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  });
  return signed ? undefined : 'no CA in the bundle signed it';
}

function isDue(cert: string, now: number): boolean {
  const [from, to] = [notBefore(cert), notAfter(cert)];
  return now >= from + ((to - from) * 2) / 3;
}

function sameNames(one: readonly string[], other: readonly string[]): boolean {
  return [...new Set(one)].sort().join() === [...new Set(other)].sort().join();
}
