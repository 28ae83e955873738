import { verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { SignedEntity } from '@sigstore/verify';

type SignatureContent = SignedEntity['signature'];

/** The digests that cosign uses with the keys of a curve: that of cosign 3 first, then that of older versions. */
const DIGESTS_OF_CURVES: Readonly<Record<string, readonly string[]>> = {
  secp384r1: ['sha384', 'sha256'],
  secp521r1: ['sha512', 'sha256'],
};
const USUAL_DIGESTS = ['sha256'];
/** Ed25519 signs the bytes themselves. */
const NO_DIGEST = [null];

/** The same signature; it is verified with each digest that fits the key, and not with SHA-256 alone. */
export function withDigestsOfKey(signature: SignatureContent, signed: Buffer): SignatureContent {
  return {
    signature: signature.signature,
    compareSignature: (other) => signature.compareSignature(other),
    compareDigest: (digest) => signature.compareDigest(digest),
    verifySignature: (key) => digestsOf(key).some((digest) => verifies(digest, signed, key, signature.signature)),
  };
}

/** The bytes that a DSSE envelope signs: its pre-authentication encoding ("PAE"). */
export function preAuthEncoding(payloadType: string, payload: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `),
    payload,
  ]);
}

function digestsOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): readonly (string | null)[] {
  if (asymmetricKeyType === 'ed25519') return NO_DIGEST;
  return DIGESTS_OF_CURVES[asymmetricKeyDetails?.namedCurve ?? ''] ?? USUAL_DIGESTS;
}

/** Node throws for some signatures that do not fit the key. */
function verifies(digest: string | null, signed: Buffer, key: KeyObject, signature: Buffer): boolean {
  try {
    return verify(digest, signed, key, signature);
  } catch {
    return false;
  }
}
