import { createHash, X509Certificate } from 'node:crypto';
import { parseBoundedJson } from '../core/json-bounds.js';
import type { Descriptor } from '../registry/types.js';

/** The content that cosign 2 signed: a text, or an envelope that contains its own signatures. */
type Signed = { readonly signed: Buffer } | { readonly envelope: unknown };

/** cosign's SIGNATURE_SPEC.md, "Tag-based Discovery": the annotations of a layer. */
const SIGNATURE = 'dev.cosignproject.cosign/signature';
const CERTIFICATE = 'dev.sigstore.cosign/certificate';
const LOG_ENTRY = 'dev.sigstore.cosign/bundle';
const TIMESTAMP = 'dev.sigstore.cosign/rfc3161timestamp';

/** A layer's cosign 2 signature in the form of a Sigstore bundle; undefined if it is malformed. */
export function oldSignatureBundle({ annotations = {} }: Descriptor, content: Signed): unknown {
  try {
    return {
      mediaType: 'application/vnd.dev.sigstore.bundle+json;version=0.1',
      verificationMaterial: {
        ...materialOf(annotations[CERTIFICATE]),
        tlogEntries: logEntries(annotations[LOG_ENTRY]),
        timestampVerificationData: { rfc3161Timestamps: timestamps(annotations[TIMESTAMP]) },
      },
      ...('signed' in content
        ? messageSignature(content.signed, annotations[SIGNATURE])
        : { dsseEnvelope: content.envelope }),
    };
  } catch {
    return undefined;
  }
}

function materialOf(pem: string | undefined): object {
  if (pem === undefined || pem === '') return { publicKey: { hint: '' } };
  return { x509CertificateChain: { certificates: [{ rawBytes: new X509Certificate(pem).raw.toString('base64') }] } };
}

function messageSignature(signed: Buffer, signature = ''): object {
  const digest = createHash('sha256').update(signed).digest('base64');
  return { messageSignature: { messageDigest: { algorithm: 'SHA2_256', digest }, signature } };
}

interface LogEntry {
  readonly SignedEntryTimestamp: string;
  readonly Payload: {
    readonly body: string;
    readonly integratedTime: number;
    readonly logIndex: number;
    readonly logID: string;
  };
}

function logEntries(text: string | undefined): readonly object[] {
  if (text === undefined || text === '') return [];
  const { SignedEntryTimestamp: signedEntryTimestamp, Payload: payload } = parseBoundedJson(text) as LogEntry;
  const body = parseBoundedJson(Buffer.from(payload.body, 'base64').toString('utf8')) as {
    readonly kind: string;
    readonly apiVersion: string;
  };
  return [
    {
      logIndex: String(payload.logIndex),
      logId: { keyId: Buffer.from(payload.logID, 'hex').toString('base64') },
      kindVersion: { kind: body.kind, version: body.apiVersion },
      integratedTime: String(payload.integratedTime),
      inclusionPromise: { signedEntryTimestamp },
      canonicalizedBody: payload.body,
    },
  ];
}

function timestamps(text: string | undefined): readonly object[] {
  if (text === undefined || text === '') return [];
  const { SignedRFC3161Timestamp: signedTimestamp } = parseBoundedJson(text) as {
    readonly SignedRFC3161Timestamp: string;
  };
  return [{ signedTimestamp }];
}
