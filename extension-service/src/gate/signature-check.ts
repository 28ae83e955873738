import type { SignedEntity } from '@sigstore/verify';
import type { GateVerifyConfig } from '../core/config/model.js';
import { simpleSigningClaim, statementClaim } from '../core/gate/claims.js';
import type { Claim } from '../core/gate/claims.js';
import type { CheckResult } from '../core/gate/decide-gate.js';
import { oneLine } from '../core/image/quote.js';
import { messageOf } from '../util/message-of.js';
import { candidatesOf } from './candidates.js';
import type { Candidate, SignedImage } from './candidates.js';
import { preAuthEncoding, withDigestsOfKey } from './signature-content.js';
import { Trust } from './trust.js';

/** The result for one candidate: a claim of a trusted signer, or why it does not count. */
type Checked = { readonly claim: string } | { readonly refusal: string };

type Verdict = Exclude<CheckResult, { readonly state: 'failed' }>;

/** There is no signature yet; one may follow, since images are signed after they are pushed. */
export class NotSignedError extends Error {
  override readonly name = 'NotSignedError';
}

/** The claim of a trusted signer that is required if the image itself must be signed. */
const SIGNED = 'signature';
const MAX_SHOWN = 3;
const MAX_REASON = 300;

/** Verifies signatures and attestations of images at their source. */
export class SignatureCheck {
  private readonly trust: Trust;
  /** The required claims: `signature`, or predicate types. */
  private readonly needed: readonly string[];

  /** @throws Error naming the key of the configuration and the unusable file */
  constructor(config: GateVerifyConfig) {
    this.trust = new Trust(config);
    this.needed = config.attestations.length > 0 ? config.attestations : [SIGNED];
  }

  /**
   * @throws NotSignedError if no required signature exists
   * @throws RegistryError if the registry does not return the signatures
   */
  async check(image: SignedImage, now: number, signal: AbortSignal): Promise<Verdict> {
    const missing = new Set(this.needed);
    const refusals: string[] = [];
    for await (const candidate of candidatesOf(image, signal)) {
      const checked = await this.checkOne(candidate, image.digest);
      if ('claim' in checked) missing.delete(checked.claim);
      else refusals.push(`${candidate.title}: ${checked.refusal}`);
      if (missing.size === 0) return { state: 'allowed' };
    }
    const what = [...missing].map((one) => (one === SIGNED ? 'signature' : `attestation of ${one}`)).join(' or ');
    if (refusals.length === 0) throw new NotSignedError(`its registry has no ${what} of it`);
    const shown = refusals.slice(0, MAX_SHOWN).map((text) => oneLine(text).slice(0, MAX_REASON));
    const more = refusals.length > MAX_SHOWN ? [`${refusals.length - MAX_SHOWN} more`] : [];
    return { state: 'denied', reason: `no ${what} is accepted: ${[...shown, ...more].join('; ')}`, at: now };
  }

  private async checkOne(candidate: Candidate, digest: string): Promise<Checked> {
    const { bundleFromJSON, toSignedEntity } = await import('./sigstore.js');
    let content: Content;
    let entity: SignedEntity;
    try {
      const bundle = bundleFromJSON(candidate.bundle);
      content = bundle.content;
      if (content.$case === 'messageSignature' && candidate.artifact === undefined) {
        return { refusal: 'it signs bytes and not a statement about an image' };
      }
      const read = toSignedEntity(bundle, candidate.artifact);
      entity = { ...read, signature: withDigestsOfKey(read.signature, signedBytes(content, candidate)) };
    } catch (error) {
      return { refusal: `it cannot be read: ${messageOf(error)}` };
    }
    const refusal = await this.trust.refusal(entity);
    return refusal === undefined ? checkedOf(claimOf(content, candidate, digest)) : { refusal };
  }
}

function signedBytes({ dsseEnvelope }: Content, { artifact = Buffer.alloc(0) }: Candidate): Buffer {
  return dsseEnvelope === undefined ? artifact : preAuthEncoding(dsseEnvelope.payloadType, dsseEnvelope.payload);
}

interface Content {
  readonly $case: string;
  readonly dsseEnvelope?: { readonly payloadType: string; readonly payload: Buffer };
}

function claimOf({ dsseEnvelope }: Content, { artifact }: Candidate, digest: string): Claim {
  if (dsseEnvelope !== undefined) {
    return statementClaim(dsseEnvelope.payloadType, dsseEnvelope.payload.toString('utf8'), digest);
  }
  return simpleSigningClaim(artifact?.toString('utf8') ?? '', digest);
}

function checkedOf(claim: Claim): Checked {
  switch (claim.kind) {
    case 'signature':
      return { claim: SIGNED };
    case 'attestation':
      return { claim: claim.predicateType };
    case 'none':
      return { refusal: claim.reason };
  }
}
