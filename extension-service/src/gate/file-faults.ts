import { createPublicKey } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { parseBoundedJson } from '../core/json-bounds.js';

/**
 * Why a text cannot be used as CA certificates in PEM; these functions never quote the text, and their result continues
 * the file's name.
 */
export function caCertificatesFault(pem: string): string | undefined {
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) return 'holds no certificate';
  try {
    createSecureContext({ ca: pem });
    return undefined;
  } catch {
    return 'holds a certificate that cannot be read';
  }
}

/** Keys that only agree on secrets. */
const EXCHANGE_KEYS: ReadonlySet<string> = new Set(['dh', 'x25519', 'x448']);

/**
 * Why a text is not a public key in PEM. A parser would accept the public half of a private key, which does not belong
 * here.
 */
export function publicKeyFault(pem: string): string | undefined {
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) return 'holds a private key, which does not belong here';
  try {
    const keys = pem.split('-----BEGIN PUBLIC KEY-----').length - 1;
    if (keys === 0) return 'holds no public key';
    // A parser would read the first and ignore the others.
    if (keys > 1) return `holds ${keys} public keys, and each needs a file of its own`;
    const { asymmetricKeyType = '' } = createPublicKey(pem);
    if (!EXCHANGE_KEYS.has(asymmetricKeyType)) return undefined;
    return `holds a key of type ${asymmetricKeyType}, which cannot verify signatures`;
  } catch {
    return 'holds a public key that cannot be read';
  }
}

/** Why a text is not a Sigstore trusted root. */
export function trustedRootFault(text: string): string | undefined {
  try {
    const { certificateAuthorities } = parseBoundedJson(text) as { readonly certificateAuthorities?: unknown };
    const isRoot = Array.isArray(certificateAuthorities) && certificateAuthorities.length > 0;
    return isRoot ? undefined : 'has no certificateAuthorities';
  } catch {
    return 'is not JSON';
  }
}
