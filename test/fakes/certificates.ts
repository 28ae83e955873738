// @peculiar/x509 builds its extensions through decorators that need this polyfill before it loads.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';

const SIGNING = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY = 24 * 60 * 60 * 1000;

export interface Certificates {
  /** The CA certificate, PEM. */
  readonly ca: string;
  /** The leaf's certificate, PEM. */
  readonly cert: string;
  /** The leaf's private key, PEM (PKCS #8). */
  readonly key: string;
}

/**
 * A new CA and a leaf certificate for `hosts` (DNS names and IP addresses, as subject alternative names): ECDSA P-256,
 * valid for a day, starting an hour ago. Both extended key usages are set, so the leaf also serves as a client
 * certificate.
 */
export async function makeCertificates(options: {
  readonly hosts: readonly string[];
  /** Whether the leaf has expired. @default false */
  readonly expired?: boolean;
}): Promise<Certificates> {
  const [authorityKeys, leafKeys] = await Promise.all([generateKeys(), generateKeys()]);
  const validity = { notBefore: new Date(Date.now() - 60 * 60 * 1000), notAfter: new Date(Date.now() + DAY) };
  const authority = await x509.X509CertificateGenerator.createSelfSigned(
    {
      ...validity,
      name: 'CN=image-swapper test authority',
      keys: authorityKeys,
      signingAlgorithm: SIGNING,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(authorityKeys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  const leaf = await x509.X509CertificateGenerator.create(
    {
      ...validity,
      ...(options.expired === true && { notAfter: new Date(Date.now() - 60 * 1000) }),
      subject: 'CN=image-swapper test leaf',
      issuer: authority.subject,
      publicKey: leafKeys.publicKey,
      signingKey: authorityKeys.privateKey,
      signingAlgorithm: SIGNING,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
        new x509.SubjectAlternativeNameExtension(
          options.hosts.map((host) => ({ type: isIP(host) === 0 ? 'dns' : 'ip', value: host })),
        ),
        await x509.AuthorityKeyIdentifierExtension.create(authorityKeys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', leafKeys.privateKey);
  return {
    ca: `${authority.toString('pem')}\n`,
    cert: `${leaf.toString('pem')}\n`,
    key: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
  };
}

const shared = new Map<string, Promise<Certificates>>();

/**
 * The same certificates each time for the same hosts, for fakes that tests do not tell apart by their certificates:
 * making them takes 12 to 27 ms of CPU time.
 */
export function sharedCertificates(hosts: readonly string[]): Promise<Certificates> {
  const key = hosts.join();
  const made = shared.get(key) ?? makeCertificates({ hosts });
  shared.set(key, made);
  return made;
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(SIGNING, true, ['sign', 'verify']);
}
