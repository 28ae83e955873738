import { X509Certificate, createPrivateKey } from 'node:crypto';
import { parseBoundedJson } from '../../core/json-bounds.js';

/** A certificate and its private key, PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** The content of the Secret of a self-signed serving certificate. Times are milliseconds since the epoch. */
export interface CertificateMaterial {
  /** Signs the serving certificate. */
  readonly ca?: KeyPair;
  /** Will sign it, once every verifier knows this one as well. */
  readonly next?: KeyPair;
  /** The certificate that the service presents. */
  readonly leaf?: KeyPair;
  /** No longer signs; stays in the bundle for certificates that may still be presented. */
  readonly retired: readonly { readonly cert: string; readonly until: number }[];
  /** State of `next`. */
  readonly rollover?: Rollover;
}

export interface Rollover {
  /** `due` by time, `asked` by an operator. */
  readonly reason: 'due' | 'asked';
  /** When `next` may sign; undefined until the bundle with it is published everywhere. */
  readonly signFrom?: number;
}

/** Keys of the Secret. */
const KEYS = {
  bundle: 'ca.crt',
  authorityKey: 'ca.key',
  nextCert: 'next-ca.crt',
  nextKey: 'next-ca.key',
  cert: 'tls.crt',
  key: 'tls.key',
  record: 'rotation.json',
} as const;

/** The Secret contains data that the service did not create. */
export class ForeignSecretError extends Error {
  override readonly name = 'ForeignSecretError';
}

/** PEM text of all CA certificates that a verifier needs, the signing one first. */
export function bundleOf({ ca, next, retired }: CertificateMaterial): string {
  return [ca?.cert, next?.cert, ...retired.map(({ cert }) => cert)].filter((cert) => cert !== undefined).join('');
}

/**
 * Parses a Secret's decoded `data`. Unusable data counts as missing, so that it is recreated.
 *
 * @throws ForeignSecretError if it contains someone else's certificate, which must not be overwritten
 */
export function parseMaterial(data: Readonly<Record<string, string>>): CertificateMaterial {
  if (Object.values(data).some((text) => text !== '') && (data[KEYS.record] ?? '') === '') {
    throw new ForeignSecretError(
      `it contains ${Object.keys(data).join(', ')} but no ${KEYS.record}, so the service did not create it; use an empty Secret`,
    );
  }
  const record = parseRecord(data[KEYS.record] ?? '');
  const known = splitCertificates(data[KEYS.bundle] ?? '');
  const authorityCert = known.find((cert) => isKeyOf(cert, data[KEYS.authorityKey]));
  const authority = pair(authorityCert, data[KEYS.authorityKey]);
  const next = pair(splitCertificates(data[KEYS.nextCert] ?? '')[0], data[KEYS.nextKey]);
  const leaf = pair(splitCertificates(data[KEYS.cert] ?? '')[0], data[KEYS.key]);
  return {
    ...(authority !== undefined && { ca: authority }),
    ...(next !== undefined && { next, rollover: record.rollover }),
    ...(leaf !== undefined && { leaf }),
    retired: known
      .filter((cert) => cert !== authority?.cert && cert !== next?.cert)
      .map((cert) => ({ cert, until: record.retired[fingerprint(cert)] ?? notAfter(cert) })),
  };
}

/** The Secret's `data`, not encoded. */
export function formatMaterial(material: CertificateMaterial): Readonly<Record<string, string>> {
  const { ca, next, leaf, retired, rollover } = material;
  const record: RotationRecord = {
    retired: Object.fromEntries(retired.map(({ cert, until }) => [fingerprint(cert), new Date(until).toISOString()])),
    ...(next !== undefined &&
      rollover !== undefined && {
        next: {
          reason: rollover.reason,
          ...(rollover.signFrom !== undefined && { signFrom: new Date(rollover.signFrom).toISOString() }),
        },
      }),
  };
  return {
    [KEYS.bundle]: bundleOf(material),
    ...(ca !== undefined && { [KEYS.authorityKey]: ca.key }),
    ...(next !== undefined && { [KEYS.nextCert]: next.cert, [KEYS.nextKey]: next.key }),
    ...(leaf !== undefined && { [KEYS.cert]: leaf.cert, [KEYS.key]: leaf.key }),
    [KEYS.record]: `${JSON.stringify(record)}\n`,
  };
}

/** The information in the Secret that certificates do not contain. Times as RFC 3339. */
interface RotationRecord {
  /** By fingerprint of the CA certificate: until when its signed certificates may be in use. */
  readonly retired: Readonly<Record<string, string>>;
  readonly next?: { readonly reason: Rollover['reason']; readonly signFrom?: string };
}

function parseRecord(text: string): {
  readonly retired: Readonly<Record<string, number>>;
  readonly rollover: Rollover;
} {
  let record: Partial<RotationRecord> = {};
  try {
    record = parseBoundedJson(text) as Partial<RotationRecord>;
  } catch {
    // As if nothing were known: CAs stay until they expire, and a published one is confirmed again.
  }
  const times = Object.entries(record.retired ?? {}).flatMap(([id, time]) => {
    const until = Date.parse(time);
    return Number.isNaN(until) ? [] : [[id, until] as const];
  });
  const signFrom = Date.parse(record.next?.signFrom ?? '');
  return {
    retired: Object.fromEntries(times),
    rollover: {
      reason: record.next?.reason === 'asked' ? 'asked' : 'due',
      ...(!Number.isNaN(signFrom) && { signFrom }),
    },
  };
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/** The valid certificates in PEM text, each ending with a line break. */
export function splitCertificates(text: string): string[] {
  return (text.match(CERTIFICATE) ?? []).flatMap((block) => {
    try {
      return [new X509Certificate(block).toString()];
    } catch {
      return [];
    }
  });
}

function pair(cert: string | undefined, key: string | undefined): KeyPair | undefined {
  return cert !== undefined && key !== undefined && isKeyOf(cert, key) ? { cert, key } : undefined;
}

function isKeyOf(cert: string, key: string | undefined): boolean {
  if (key === undefined || key === '') return false;
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

export function fingerprint(cert: string): string {
  return new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase();
}

export function notBefore(cert: string): number {
  return Date.parse(new X509Certificate(cert).validFrom);
}

export function notAfter(cert: string): number {
  return Date.parse(new X509Certificate(cert).validTo);
}

/** DNS names and addresses in a certificate. */
export function namesOf(cert: string): string[] {
  const text = new X509Certificate(cert).subjectAltName ?? '';
  return text.split(', ').flatMap((entry) => /^(?:DNS|IP Address):(.+)$/.exec(entry)?.[1] ?? []);
}
