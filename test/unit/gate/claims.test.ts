import { describe, expect, it } from 'vitest';
import { simpleSigningClaim, statementClaim } from '../../../extension-service/src/core/gate/claims.js';

const HEX = 'a'.repeat(64);
const DIGEST = `sha256:${HEX}`;
const IN_TOTO = 'application/vnd.in-toto+json';
const COSIGN = 'https://sigstore.dev/cosign/sign/v1';
const SCAN = 'https://example.com/scan/v1';

function statement(more: object = {}): string {
  const _type = 'https://in-toto.io/Statement/v1';
  return JSON.stringify({ _type, subject: [{ digest: { sha256: HEX } }], predicateType: COSIGN, ...more });
}

describe('a statement', () => {
  it.each<readonly [string, string, string, object]>([
    ['of cosign signs the image', IN_TOTO, statement(), { kind: 'signature' }],
    [
      'of another type is an attestation',
      IN_TOTO,
      statement({ predicateType: SCAN }),
      { kind: 'attestation', predicateType: SCAN },
    ],
    [
      'may have several subjects',
      IN_TOTO,
      statement({ subject: [{}, { digest: { sha256: HEX } }] }),
      { kind: 'signature' },
    ],
    [
      'of version 0.1 counts',
      IN_TOTO,
      statement({ _type: 'https://in-toto.io/Statement/v0.1' }),
      { kind: 'signature' },
    ],
    [
      'of another payload type',
      'text/plain',
      statement(),
      { kind: 'none', reason: 'its payload is "text/plain", not an in-toto statement' },
    ],
    ['of an unknown version', IN_TOTO, statement({ _type: 'https://in-toto.io/Statement/v9' }), { kind: 'none' }],
    [
      'about another digest',
      IN_TOTO,
      statement({ subject: [{ digest: { sha256: 'b'.repeat(64) } }] }),
      { kind: 'none', reason: `it is about another image than ${DIGEST}` },
    ],
    [
      'about a digest of another algorithm',
      IN_TOTO,
      statement({ subject: [{ digest: { sha512: HEX } }] }),
      { kind: 'none' },
    ],
    [
      'about the beginning of the digest',
      IN_TOTO,
      statement({ subject: [{ digest: { sha256: HEX.slice(1) } }] }),
      { kind: 'none' },
    ],
    ['without subjects', IN_TOTO, statement({ subject: undefined }), { kind: 'none' }],
    ['without a predicate type', IN_TOTO, statement({ predicateType: 7 }), { kind: 'none' }],
    ['that is not JSON', IN_TOTO, 'hello', { kind: 'none' }],
    ['that is null', IN_TOTO, 'null', { kind: 'none' }],
  ])('%s', (_, type, payload, expected) => {
    expect(statementClaim(type, payload, DIGEST)).toMatchObject(expected);
  });

  it.each(['constructor', '__proto__', 'toString'])('without a digest does not count for the algorithm %s', (name) => {
    expect(statementClaim(IN_TOTO, statement({ subject: [{ digest: {} }] }), `${name}:x`)).toMatchObject({
      kind: 'none',
    });
  });
});

describe("cosign 2's text", () => {
  const signed = (digest: unknown, type: unknown = 'cosign container image signature'): string =>
    JSON.stringify({ critical: { identity: {}, image: { 'docker-manifest-digest': digest }, type } });

  it.each<readonly [string, string, string]>([
    ['of the digest signs the image', signed(DIGEST), 'signature'],
    ['of another digest does not', signed(`sha256:${'b'.repeat(64)}`), 'none'],
    ['of a list of digests does not', signed([DIGEST]), 'none'],
    ['of another type does not', signed(DIGEST, 'a blob'), 'none'],
    ['that is not JSON does not', 'hello', 'none'],
  ])('%s', (_, text, kind) => {
    expect(simpleSigningClaim(text, DIGEST).kind).toBe(kind);
  });
});
