import { parseBoundedJson } from '../json-bounds.js';
import { quoteInput } from '../image/quote.js';

/** The meaning of a signed text for an image. */
export type Claim =
  /** The image itself is signed. */
  | { readonly kind: 'signature' }
  /** A statement about the image, such as a scan or its provenance. */
  | { readonly kind: 'attestation'; readonly predicateType: string }
  /** Nothing about this image. */
  | { readonly kind: 'none'; readonly reason: string };

const IN_TOTO = 'application/vnd.in-toto+json';
const STATEMENTS: ReadonlySet<unknown> = new Set([
  'https://in-toto.io/Statement/v0.1',
  'https://in-toto.io/Statement/v1',
]);
/** The predicate type with which cosign 3 signs an image itself. */
const COSIGN_SIGNATURE = 'https://sigstore.dev/cosign/sign/v1';
/** cosign 2: SIGNATURE_SPEC.md, "Payload Specification". */
const SIMPLE_SIGNING = 'cosign container image signature';

/** Parses an in-toto statement, the payload of a DSSE envelope whose signature is already verified. */
export function statementClaim(payloadType: string, payload: string, digest: string): Claim {
  if (payloadType !== IN_TOTO) return none(`its payload is ${quoteInput(payloadType)}, not an in-toto statement`);
  const { _type: type, subject, predicateType } = object(payload);
  if (!STATEMENTS.has(type)) return none(`its payload is not an in-toto statement of a known version`);
  if (!Array.isArray(subject) || !subject.some((one) => hasDigest(one, digest))) {
    return none(`it is about another image than ${digest}`);
  }
  if (typeof predicateType !== 'string') return none('its statement has no predicateType');
  return predicateType === COSIGN_SIGNATURE ? { kind: 'signature' } : { kind: 'attestation', predicateType };
}

/** Parses the payload of cosign 2's signatures ("simple signing"), whose signature is already verified. */
export function simpleSigningClaim(payload: string, digest: string): Claim {
  const critical = asObject(object(payload)['critical']);
  if (critical['type'] !== SIMPLE_SIGNING) return none('its payload is not a signature of an image');
  const signed = asObject(critical['image'])['docker-manifest-digest'];
  return signed === digest ? { kind: 'signature' } : none(`it is about another image than ${digest}`);
}

function hasDigest(subject: unknown, digest: string): boolean {
  const [algorithm = '', hex = ''] = digest.split(':');
  const digests = asObject(asObject(subject)['digest']);
  return hex !== '' && Object.hasOwn(digests, algorithm) && digests[algorithm] === hex;
}

function none(reason: string): Claim {
  return { kind: 'none', reason };
}

function object(text: string): Readonly<Record<string, unknown>> {
  try {
    return asObject(parseBoundedJson(text));
  } catch {
    return {};
  }
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
