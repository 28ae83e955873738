import { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { applyStep } from '../../../extension-service/src/kubernetes/serving-certificate/apply-step.js';
import { selfSigningIssuer as issuer } from '../../../extension-service/src/kubernetes/serving-certificate/issuer.js';
import type {
  CertificateMaterial,
  KeyPair,
} from '../../../extension-service/src/kubernetes/serving-certificate/material.js';
import {
  bundleOf,
  formatMaterial,
  notAfter,
  parseMaterial,
  splitCertificates,
} from '../../../extension-service/src/kubernetes/serving-certificate/material.js';
import { LIFETIMES_MS, nextStep } from '../../../extension-service/src/kubernetes/serving-certificate/next-step.js';
import type { StepInput } from '../../../extension-service/src/kubernetes/serving-certificate/next-step.js';

const NOW = Date.UTC(2027, 0, 1);
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const NAMES = ['image-swapper.image-swapper.svc', '10.0.0.1'];

let authority: KeyPair;
let other: KeyPair;
let leaf: KeyPair;
let settled: CertificateMaterial;
beforeAll(async () => {
  authority = await issuer.authority(NOW);
  other = await issuer.authority(NOW);
  leaf = await issuer.leaf(authority, NAMES, NOW);
  settled = { ca: authority, leaf, retired: [] };
});

describe('a certificate that the service makes', () => {
  it('is verified by its CA for its names, only for servers, and not as a CA', () => {
    const [made, signer] = [new X509Certificate(leaf.cert), new X509Certificate(authority.cert)];
    expect(made.checkIssued(signer) && made.verify(signer.publicKey)).toBe(true);
    expect(made.checkHost('image-swapper.image-swapper.svc')).toBe('image-swapper.image-swapper.svc');
    expect(made.checkIP('10.0.0.1')).toBe('10.0.0.1');
    expect(made.checkHost('localhost')).toBeUndefined();
    expect([made.ca, signer.ca]).toEqual([false, true]);
    // OID of id-kp-serverAuth
    expect(made.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(made.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
  });

  it('is valid for 90 days and its CA for five years, both from an hour ago', () => {
    expect(new X509Certificate(leaf.cert).validFrom).toBe('Dec 31 23:00:00 2026 GMT');
    expect(notAfter(leaf.cert)).toBe(NOW + 90 * DAY);
    expect(notAfter(authority.cert)).toBe(NOW + 5 * 365 * DAY);
  });

  it('expires no later than its CA', async () => {
    const late = notAfter(authority.cert) - DAY;
    expect(notAfter((await issuer.leaf(authority, NAMES, late)).cert)).toBe(notAfter(authority.cert));
  });
});

describe('the next step', () => {
  const defaultInput: StepInput = { names: NAMES, published: true };
  const step = (material: CertificateMaterial, at: number, more: Partial<StepInput> = {}): string => {
    const taken = nextStep(material, at, { ...defaultInput, ...more });
    return 'reason' in taken ? `${taken.kind}: ${taken.reason}` : taken.kind;
  };
  const nextStepFor = (rollover: CertificateMaterial['rollover']): CertificateMaterial => ({
    ...settled,
    next: other,
    ...(rollover !== undefined && { rollover }),
  });

  it.each<readonly [string, () => string, string]>([
    ['of an empty Secret', () => step({ retired: [] }, NOW), 'begin: there is no CA'],
    ['while all is well', () => step(settled, NOW), 'none'],
    ['just before two thirds of the certificate', () => step(settled, NOW + 59 * DAY), 'none'],
    [
      'after two thirds of the certificate',
      () => step(settled, NOW + 60 * DAY),
      'issue: two thirds of its lifetime have passed',
    ],
    ['when the certificate was deleted', () => step({ ca: authority, retired: [] }, NOW), 'issue: there is none'],
    ['when it expired', () => step(settled, NOW + 90 * DAY), 'issue: it expired'],
    [
      'when it is of an unknown CA',
      () => step({ ca: other, leaf, retired: [] }, NOW),
      'issue: no CA in the bundle signed it',
    ],
    ['when the names changed', () => step(settled, NOW, { names: ['a.svc'] }), 'issue: tls.dnsNames changed'],
    ['when the names are in another order', () => step(settled, NOW, { names: [...NAMES].reverse() }), 'none'],
    ['asked for a certificate', () => step(settled, NOW, { asked: 'leaf' }), 'issue: requested'],
    ['when a new CA was requested', () => step(settled, NOW, { asked: 'ca' }), 'announce: asked'],
    ['asked for it again', () => step(nextStepFor({ reason: 'due' }), NOW, { asked: 'ca' }), 'hasten'],
    [
      'after two thirds of the lifetime of the CA',
      () => step({ ...settled, leaf: fresh }, NOW + 3.4 * 365 * DAY),
      'announce: due',
    ],
    ['once the next CA is published', () => step(nextStepFor({ reason: 'due' }), NOW), 'confirm'],
    ['while it is not published', () => step(nextStepFor({ reason: 'due' }), NOW, { published: false }), 'none'],
    ['before its overlap has passed', () => step(nextStepFor({ reason: 'due', signFrom: NOW + 1 }), NOW), 'none'],
    [
      'after its overlap',
      () => step(nextStepFor({ reason: 'due', signFrom: NOW }), NOW),
      'sign: every caller trusts the next CA',
    ],
    [
      'after its overlap, when somebody took the bundle away again',
      () => step(nextStepFor({ reason: 'due', signFrom: NOW }), NOW, { published: false }),
      'none',
    ],
    [
      'when the CA expired before the next one could be published',
      () => step(nextStepFor({ reason: 'due' }), notAfter(authority.cert), { published: false }),
      'sign: the CA expired',
    ],
    [
      'when a retired CA has no certificate left',
      () => step({ ...settled, retired: [{ cert: other.cert, until: NOW }] }, NOW),
      'forget',
    ],
    ['while one has', () => step({ ...settled, retired: [{ cert: other.cert, until: NOW + 1 }] }, NOW), 'none'],
  ])('%s', (_, taken, expected) => {
    expect(taken()).toBe(expected);
  });

  let fresh: KeyPair;
  beforeAll(async () => {
    fresh = await issuer.leaf(authority, NAMES, NOW + 3.4 * 365 * DAY);
  });
});

describe('the Secret', () => {
  it('keeps everything', async () => {
    const rollover = { reason: 'asked', signFrom: NOW + DAY } as const;
    const material: CertificateMaterial = {
      ...settled,
      next: other,
      rollover,
      retired: [{ cert: (await issuer.authority(NOW)).cert, until: NOW + 30 * DAY }],
    };
    expect(parseMaterial(formatMaterial(material))).toEqual(material);
  });

  it('has the private key of a CA only under its own keys', () => {
    const data = formatMaterial({ ...settled, next: other, rollover: { reason: 'due' } });
    const secretKeys = Object.entries(data).filter(([, text]) => text.includes('PRIVATE KEY'));
    expect(secretKeys.map(([key]) => key).sort()).toEqual(['ca.key', 'next-ca.key', 'tls.key']);
    expect(splitCertificates(data['ca.crt'] ?? '')).toEqual([authority.cert, other.cert]);
  });

  it.each(['tls.crt', 'tls.key', 'ca.key'])('with an invalid %s is treated as if it were absent', (key) => {
    const material = parseMaterial({ ...formatMaterial(settled), [key]: '-----BEGIN NONSENSE-----' });
    expect(key === 'ca.key' ? material.ca : material.leaf).toBeUndefined();
    // Clients can still verify the existing certificates.
    expect(bundleOf(material)).toContain(authority.cert);
  });

  it('with the certificate of another owner is refused', () => {
    expect(() => parseMaterial({ 'tls.crt': leaf.cert, 'tls.key': leaf.key })).toThrow('use an empty Secret');
  });
});

describe('the lifetime of the certificate', () => {
  /** Maximum time until every verifier has a new bundle. */
  const PROPAGATION = 5 * MINUTE;

  it.each([1, 2, 3])('is verified everywhere at any time (%i)', async (seed) => {
    const random = generator(seed);
    const chance = (share: number): boolean => random() < share;
    let now = NOW;
    let names = NAMES;
    let asked: 'leaf' | 'ca' | undefined;
    let material: CertificateMaterial = { retired: [] };
    // Published bundles that verifiers may hold. A slow verifier gets a bundle later than the API server.
    let arriving: { readonly bundle: string; readonly at: number }[] = [];
    // Certificate of each replica. A replica without access to the API server keeps its certificate until it expires.
    const presented: (KeyPair | undefined)[] = [undefined, undefined, undefined];
    const seen = new Set<string>();
    for (let turn = 0; turn < 160; turn += 1) {
      const reachable = chance(0.8);
      for (;;) {
        const bundle = bundleOf(material);
        const published = bundle !== '' && reachable;
        if (published && arriving.at(-1)?.bundle !== bundle) arriving.push({ bundle, at: now });
        const step = nextStep(material, now, { names, published, ...(asked !== undefined && { asked }) });
        seen.add(step.kind);
        if (step.kind === 'none') break;
        if (asked === 'leaf' ? step.kind === 'issue' : step.kind === 'announce' || step.kind === 'hasten') {
          asked = undefined;
        }
        material = parseMaterial(formatMaterial(await applyStep(step, material, { issuer, names, now })));
      }
      const last = arriving.filter(({ at }) => at + PROPAGATION <= now).at(-1);
      // A verifier has the latest bundle that has certainly arrived, or a newer one.
      const verifiers = arriving
        .filter((entry) => last === undefined || entry.at >= last.at)
        .map(({ bundle }) => bundle);
      arriving = arriving.filter((entry) => last === undefined || entry.at >= last.at);
      for (const [index] of presented.entries()) {
        const held = presented[index];
        if (held === undefined || notAfter(held.cert) <= now || chance(0.7)) presented[index] = material.leaf;
      }
      for (const held of presented) {
        if (held === undefined) continue;
        for (const bundle of verifiers) expect(isVerified(held, bundle, now)).toBe(true);
      }
      now += chance(0.3) ? random() * 2 * MINUTE : random() * 15 * DAY;
      if (chance(0.06)) asked = 'ca';
      if (chance(0.06)) asked = 'leaf';
      if (chance(0.05)) names = [`host-${turn}.svc`];
      if (chance(0.03)) material = without(material);
    }
    expect([...seen].sort()).toEqual(
      expect.arrayContaining(['announce', 'begin', 'confirm', 'forget', 'issue', 'sign']),
    );
    expect(LIFETIMES_MS.overlap.asked).toBeGreaterThan(PROPAGATION);
  });
});

/** The material after an operator has deleted the certificate. */
function without({ ca: authority, next, rollover, retired }: CertificateMaterial): CertificateMaterial {
  return {
    ...(authority !== undefined && { ca: authority }),
    ...(next !== undefined && { next }),
    ...(rollover !== undefined && { rollover }),
    retired,
  };
}

const verified = new Map<string, { readonly from: number; readonly to: number }[]>();

/** Verifies a certificate. Caches results by certificate and bundle because most pairs are checked many times. */
function isVerified({ cert }: KeyPair, bundle: string, now: number): boolean {
  const key = `${cert} ${bundle}`;
  let spans = verified.get(key);
  if (spans === undefined) {
    const certificate = new X509Certificate(cert);
    spans = splitCertificates(bundle)
      .map((text) => new X509Certificate(text))
      .filter((one) => certificate.checkIssued(one) && certificate.verify(one.publicKey))
      .map((one) => ({
        from: Math.max(Date.parse(one.validFrom), Date.parse(certificate.validFrom)),
        to: Math.min(Date.parse(one.validTo), Date.parse(certificate.validTo)),
      }));
    verified.set(key, spans);
  }
  return spans.some(({ from, to }) => from <= now && now < to);
}

/** A pseudo-random number generator (mulberry32) that returns the same numbers in each run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
