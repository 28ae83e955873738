import { createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { SignedEntity, Signer, TrustMaterial, VerifierOptions } from '@sigstore/verify';
import type { GateVerifyConfig } from '../core/config/model.js';
import { parseBoundedJson } from '../core/json-bounds.js';
import { messageOf } from '../util/message-of.js';
import { publicKeyFault, trustedRootFault } from './file-faults.js';
import { readText } from './read-text.js';

/** A public key of the configuration. */
interface NamedKey {
  readonly file: string;
  readonly key: KeyObject;
}

/** The trusted signers: keys, and identities whose certificates chain to a trusted root. */
export class Trust {
  private readonly keys: readonly NamedKey[];
  private readonly root: unknown;
  private material: TrustMaterial | undefined;

  /** @throws Error naming the key of the configuration and the unusable file */
  constructor(private readonly config: GateVerifyConfig) {
    this.keys = config.keys.map((file) => ({ file, key: readKey(file) }));
    const { trustedRoot } = config;
    this.root = trustedRoot === undefined ? undefined : readRoot(trustedRoot);
  }

  /** @returns why no trusted signer made the signature; undefined if one did */
  async refusal(entity: SignedEntity): Promise<string | undefined> {
    return entity.key.$case === 'public-key' ? this.byKey(entity) : this.byIdentity(entity);
  }

  /** A key is trusted by itself: transparency logs and timestamps are not checked. */
  private async byKey(entity: SignedEntity): Promise<string | undefined> {
    if (this.keys.length === 0) return 'it is signed with a key, and gate.verify.keys is empty';
    const { Verifier } = await import('./sigstore.js');
    const alone = { ...entity, tlogEntries: [], timestamps: [] };
    for (const { key } of this.keys) {
      const trust: TrustMaterial = { ...NOTHING, publicKey: () => ({ publicKey: key, validFor: () => true }) };
      if (refusalOf(() => new Verifier(trust, NO_THRESHOLDS).verify(alone)) === undefined) return undefined;
    }
    const files = this.keys.map(({ file }) => file).join(', ');
    const hasEdwards = this.keys.some(({ key }) => key.asymmetricKeyType === 'ed25519');
    return `no key of gate.verify.keys verifies it (${files}${hasEdwards ? `; ${NO_PREHASH}` : ''})`;
  }

  /** A certificate is valid for minutes: a log or a timestamp service of the trusted root proves when it was used. */
  private async byIdentity(entity: SignedEntity): Promise<string | undefined> {
    const { identities } = this.config;
    if (identities.length === 0) return 'it is signed with a certificate, and gate.verify.identities is empty';
    const { Verifier } = await import('./sigstore.js');
    const material = await this.trustMaterial();
    const thresholds: VerifierOptions = {
      tlogThreshold: material.tlogs.length > 0 ? 1 : 0,
      ctlogThreshold: material.ctlogs.length > 0 ? 1 : 0,
      timestampThreshold: 1,
    };
    let signer: Signer | undefined;
    const refusal = refusalOf(() => (signer = new Verifier(material, thresholds).verify(entity)));
    if (refusal !== undefined) return refusal;
    const subject = signer?.identity?.subjectAlternativeName ?? '';
    const issuer = signer?.identity?.extensions?.issuer ?? '';
    const isTrusted = identities.some((one) => one.issuer === issuer && matches(one, subject));
    return isTrusted ? undefined : `its signer is not in gate.verify.identities: subject ${subject}, issuer ${issuer}`;
  }

  private async trustMaterial(): Promise<TrustMaterial> {
    if (this.material !== undefined) return this.material;
    const { toTrustMaterial, TrustedRoot } = await import('./sigstore.js');
    try {
      this.material = toTrustMaterial(TrustedRoot.fromJSON(this.root));
    } catch (error) {
      throw new Error(`gate.verify.trustedRoot ${this.config.trustedRoot ?? ''} cannot be used: ${messageOf(error)}`, {
        cause: error,
      });
    }
    return this.material;
  }
}

/** Node.js has no Ed25519ph. */
const NO_PREHASH =
  'cosign 3 signs with Ed25519ph if the key is Ed25519, which cannot be verified here: use an ECDSA key';
const NOTHING = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
const NO_THRESHOLDS: VerifierOptions = { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 };

/** Matches the whole subject, exactly or by a pattern. */
function matches({ subject, subjectPattern }: GateVerifyConfig['identities'][number], signer: string): boolean {
  if (subject !== undefined) return subject === signer;
  return subjectPattern !== undefined && new RegExp(`^(?:${subjectPattern})$`).test(signer);
}

/** The library throws both for invalid content and for content that it cannot parse. */
function refusalOf(verify: () => Signer): string | undefined {
  try {
    verify();
    return undefined;
  } catch (error) {
    const { cause } = error as { readonly cause?: unknown };
    return cause instanceof Error ? `${messageOf(error)}: ${cause.message}` : messageOf(error);
  }
}

function readKey(file: string): KeyObject {
  const where = `gate.verify.keys: ${file}`;
  const pem = readText(where, file);
  if (publicKeyFault(pem) !== undefined) throw new Error(`${where} is not a public key in PEM, such as cosign.pub`);
  return createPublicKey(pem);
}

function readRoot(file: string): unknown {
  const where = `gate.verify.trustedRoot: ${file}`;
  const text = readText(where, file);
  if (trustedRootFault(text) === undefined) return parseBoundedJson(text);
  throw new Error(`${where} is not a Sigstore trusted root (JSON with certificateAuthorities)`);
}
