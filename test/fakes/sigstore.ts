// @peculiar/x509 builds its extensions through decorators that need this polyfill before it loads.
import 'reflect-metadata';
import { createHash, createPrivateKey, generateKeyPairSync, sign, webcrypto } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const SIGNING = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const FULCIO_ISSUER = '1.3.6.1.4.1.57264.1.8';
const COSIGN_SIGNATURE = 'https://sigstore.dev/cosign/sign/v1';
const START = '2000-01-01T00:00:00Z';

export interface Identity {
  readonly subject: string;
  readonly issuer: string;
}

/** A short-lived certificate of an identity, with its key. */
interface Signer {
  readonly certificate: Buffer;
  readonly key: KeyObject;
}

export interface SignOptions {
  readonly identity: Identity;
  readonly digest: string;
  /** @default cosign's type for image signatures */
  readonly predicateType?: string;
  /** Whether the log has an entry for the signature. @default true */
  readonly logged?: boolean;
}

/** A private Sigstore instance: a CA that certifies identities, and a log that promises to include entries. */
export class FakeSigstore {
  private constructor(
    private readonly authority: x509.X509Certificate,
    private readonly authorityKey: webcrypto.CryptoKey,
    private readonly log: { readonly privateKey: KeyObject; readonly publicKey: Buffer; readonly id: Buffer },
  ) {}

  static async start(): Promise<FakeSigstore> {
    const keys = await generateKeys();
    const authority = await x509.X509CertificateGenerator.createSelfSigned(
      {
        ...{ name: 'O=fake.sigstore,CN=fake-authority', keys, signingAlgorithm: SIGNING },
        notBefore: new Date(Date.now() - 86_400_000),
        notAfter: new Date(Date.now() + 86_400_000),
        extensions: [
          new x509.BasicConstraintsExtension(true, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
          await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
        ],
      },
      webcrypto,
    );
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' });
    const id = createHash('sha256').update(publicKey).digest();
    return new FakeSigstore(authority, keys.privateKey, { privateKey: pair.privateKey, publicKey, id });
  }

  /** The TrustedRoot of this instance as JSON. */
  trustedRoot(): string {
    return JSON.stringify({
      mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
      tlogs: [
        {
          baseUrl: 'https://rekor.example.com',
          hashAlgorithm: 'SHA2_256',
          publicKey: {
            rawBytes: this.log.publicKey.toString('base64'),
            keyDetails: 'PKIX_ECDSA_P256_SHA_256',
            validFor: { start: START },
          },
          logId: { keyId: this.log.id.toString('base64') },
        },
      ],
      certificateAuthorities: [
        {
          subject: { organization: 'fake.sigstore', commonName: 'fake-authority' },
          uri: 'https://fulcio.example.com',
          certChain: { certificates: [{ rawBytes: Buffer.from(this.authority.rawData).toString('base64') }] },
          validFor: { start: START },
        },
      ],
      ctlogs: [],
      timestampAuthorities: [],
    });
  }

  /** Returns a bundle as cosign 3 attaches it: a DSSE envelope with a statement about the digest. */
  async bundle(options: SignOptions): Promise<string> {
    const { identity, digest, predicateType = COSIGN_SIGNATURE, logged = true } = options;
    const signer = await this.certify(identity);
    const [algorithm = '', hex = ''] = digest.split(':');
    const statement = {
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ digest: { [algorithm]: hex } }],
      predicateType,
      predicate: {},
    };
    const payload = Buffer.from(JSON.stringify(statement));
    const payloadType = 'application/vnd.in-toto+json';
    const signature = sign('sha256', preAuthEncoding(payloadType, payload), signer.key);
    const hash = createHash('sha256').update(payload).digest('hex');
    const entry = {
      apiVersion: '0.0.1',
      kind: 'dsse',
      spec: {
        payloadHash: { algorithm: 'sha256', value: hash },
        signatures: [{ signature: signature.toString('base64'), verifier: pemOf(signer).toString('base64') }],
      },
    };
    return JSON.stringify({
      mediaType: 'application/vnd.dev.sigstore.bundle+json;version=0.1',
      verificationMaterial: {
        x509CertificateChain: { certificates: [{ rawBytes: signer.certificate.toString('base64') }] },
        tlogEntries: logged ? [this.bundled(entry)] : [],
      },
      dsseEnvelope: {
        payload: payload.toString('base64'),
        payloadType,
        signatures: [{ sig: signature.toString('base64'), keyid: '' }],
      },
    });
  }

  /** Returns the text and the annotations of a layer under cosign 2's tag `sha256-….sig`. */
  async oldSignature({
    identity,
    digest,
  }: SignOptions): Promise<{ text: Buffer; annotations: Record<string, string> }> {
    const signer = await this.certify(identity);
    const type = 'cosign container image signature';
    const critical = { identity: {}, image: { 'docker-manifest-digest': digest }, type };
    const text = Buffer.from(JSON.stringify({ critical, optional: null }));
    const signature = sign('sha256', text, signer.key).toString('base64');
    const value = createHash('sha256').update(text).digest('hex');
    const content = pemOf(signer).toString('base64');
    const { payload, promise } = this.promise({
      apiVersion: '0.0.1',
      kind: 'hashedrekord',
      spec: {
        data: { hash: { algorithm: 'sha256', value } },
        signature: { content: signature, publicKey: { content } },
      },
    });
    return {
      text,
      annotations: {
        'dev.cosignproject.cosign/signature': signature,
        'dev.sigstore.cosign/certificate': pemOf(signer).toString(),
        'dev.sigstore.cosign/bundle': JSON.stringify({ SignedEntryTimestamp: promise, Payload: payload }),
      },
    };
  }

  private bundled(entry: { readonly apiVersion: string; readonly kind: string }): object {
    const { payload, promise } = this.promise(entry);
    return {
      logIndex: String(payload.logIndex),
      logId: { keyId: this.log.id.toString('base64') },
      kindVersion: { kind: entry.kind, version: entry.apiVersion },
      integratedTime: String(payload.integratedTime),
      inclusionPromise: { signedEntryTimestamp: promise },
      canonicalizedBody: payload.body,
    };
  }

  /** Rekor signs canonical JSON, whose keys are sorted. */
  private promise(entry: object) {
    const payload = {
      body: Buffer.from(JSON.stringify(entry)).toString('base64'),
      integratedTime: Math.floor(Date.now() / 1_000),
      logID: this.log.id.toString('hex'),
      logIndex: 7,
    };
    const promise = sign('sha256', Buffer.from(JSON.stringify(payload)), this.log.privateKey).toString('base64');
    return { payload, promise };
  }

  private async certify({ subject, issuer }: Identity): Promise<Signer> {
    const keys = await generateKeys();
    const text = Buffer.from(issuer);
    // The encoding of a UTF8String of up to 127 bytes.
    const utf8 = Buffer.concat([Buffer.from([0x0c, text.length]), text]);
    const leaf = await x509.X509CertificateGenerator.create(
      {
        subject: '',
        issuer: this.authority.subject,
        notBefore: new Date(Date.now() - 300_000),
        notAfter: new Date(Date.now() + 300_000),
        ...{ publicKey: keys.publicKey, signingKey: this.authorityKey, signingAlgorithm: SIGNING },
        extensions: [
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.codeSigning]),
          new x509.SubjectAlternativeNameExtension(
            [{ type: subject.includes('://') ? 'url' : 'email', value: subject }],
            true,
          ),
          await x509.AuthorityKeyIdentifierExtension.create(this.authority, false, webcrypto),
          new x509.Extension(FULCIO_ISSUER, false, utf8),
        ],
      },
      webcrypto,
    );
    const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
    const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
    return { certificate: Buffer.from(leaf.rawData), key };
  }
}

/** A user's own key, and the digest with which it signs; null for Ed25519, which signs the bytes themselves. */
export interface OwnKey {
  readonly pair: { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
  readonly hash: string | null;
}

/** Signs a bundle with a user's own key, as cosign does without a log. @returns the bundle and the public key, PEM */
export function keyBundle(
  digest: string,
  predicateType = COSIGN_SIGNATURE,
  { pair, hash }: OwnKey = { pair: generateKeyPairSync('ec', { namedCurve: 'P-256' }), hash: 'sha256' },
): { bundle: string; publicKey: string } {
  const { privateKey, publicKey } = pair;
  const [algorithm = '', hex = ''] = digest.split(':');
  const _type = 'https://in-toto.io/Statement/v1';
  const statement = { _type, subject: [{ digest: { [algorithm]: hex } }], predicateType, predicate: {} };
  const payload = Buffer.from(JSON.stringify(statement));
  const payloadType = 'application/vnd.in-toto+json';
  const sig = sign(hash, preAuthEncoding(payloadType, payload), privateKey).toString('base64');
  const bundle = JSON.stringify({
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: { publicKey: { hint: 'hint' } },
    dsseEnvelope: { payload: payload.toString('base64'), payloadType, signatures: [{ sig, keyid: '' }] },
  });
  return { bundle, publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString() };
}

function pemOf({ certificate }: Signer): Buffer {
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return Buffer.from(['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n'));
}

/** The pre-authentication encoding ("PAE") of DSSE. */
function preAuthEncoding(type: string, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `), payload]);
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(SIGNING, true, ['sign', 'verify']);
}
