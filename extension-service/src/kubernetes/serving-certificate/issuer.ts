import { randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import type { Issuer } from './apply-step.js';
import type { KeyPair } from './material.js';
import { notAfter } from './material.js';
import { LIFETIMES_MS } from './next-step.js';

/** ECDSA P-256: a handshake costs a fraction of RSA's, and Kyverno's ClusterPolicy needs one for each call. */
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** Certificates of our own CA. */
export const selfSigningIssuer: Issuer = {
  async authority(now) {
    const x509 = await import('./x509.js');
    const keys = await generateKeys();
    const cert = await x509.X509CertificateGenerator.createSelfSigned(
      {
        // A unique name for each: verifiers look up a CA by name.
        name: `CN=image-swapper authority ${randomBytes(4).toString('hex')}`,
        serialNumber: serialNumber(),
        notBefore: new Date(now - LIFETIMES_MS.backdated),
        notAfter: new Date(now + LIFETIMES_MS.authority),
        keys,
        signingAlgorithm: ALGORITHM,
        extensions: [
          new x509.BasicConstraintsExtension(true, 0, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
          await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
        ],
      },
      webcrypto,
    );
    return { cert: `${cert.toString('pem')}\n`, key: await privateKey(keys) };
  },

  async leaf(authority, names, now) {
    const x509 = await import('./x509.js');
    const [keys, signingKey] = await Promise.all([generateKeys(), importKey(authority)]);
    const issuer = new x509.X509Certificate(authority.cert);
    const cert = await x509.X509CertificateGenerator.create(
      {
        subject: 'CN=image-swapper',
        issuer: issuer.subject,
        serialNumber: serialNumber(),
        notBefore: new Date(now - LIFETIMES_MS.backdated),
        notAfter: new Date(Math.min(now + LIFETIMES_MS.leaf, notAfter(authority.cert))),
        publicKey: keys.publicKey,
        signingKey,
        signingAlgorithm: ALGORITHM,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
          new x509.SubjectAlternativeNameExtension(
            names.map((name) => ({ type: isIP(name) === 0 ? 'dns' : 'ip', value: name })),
          ),
          await x509.AuthorityKeyIdentifierExtension.create(await issuer.publicKey.export(webcrypto), false, webcrypto),
        ],
      },
      webcrypto,
    );
    return { cert: `${cert.toString('pem')}\n`, key: await privateKey(keys) };
  },
};

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function privateKey({ privateKey: key }: webcrypto.CryptoKeyPair): Promise<string> {
  const { PemConverter } = await import('./x509.js');
  return `${PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

async function importKey({ key }: KeyPair): Promise<webcrypto.CryptoKey> {
  const { PemConverter } = await import('./x509.js');
  return webcrypto.subtle.importKey('pkcs8', PemConverter.decodeFirst(key), ALGORITHM, false, ['sign']);
}

/** Positive, and long enough to be unique. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01;
  return bytes.toString('hex');
}
