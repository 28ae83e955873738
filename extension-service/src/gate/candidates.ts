import { parseBoundedJson } from '../core/json-bounds.js';
import { CopyBudget } from '../registry/copy-budget.js';
import type { ImageStore } from '../registry/image-store.js';
import { DEFAULT_COPY_LIMITS } from '../registry/copy-types.js';
import { RegistryError } from '../registry/errors.js';
import { InvalidManifestError, parseManifest } from '../registry/manifest.js';
import { readBlob } from '../registry/read-blob.js';
import { byImportance } from '../registry/referrer-kinds.js';
import { listReferrers } from '../registry/referrers-list.js';
import type { Descriptor } from '../registry/types.js';
import { oldSignatureBundle } from './old-signatures.js';

/** The image whose signatures are read, at its source. */
export interface SignedImage {
  readonly client: ImageStore;
  readonly repository: string;
  readonly digest: string;
}

/** A possible signature of the image, or attestation about it, at the registry. Nothing in it is verified. */
export interface Candidate {
  /** For messages: `bundle sha256:…` or `sha256-….sig`. */
  readonly title: string;
  /** A Sigstore bundle as JSON, or undefined for bytes that are not one. */
  readonly bundle: unknown;
  /** The text that a message signature covers: cosign 2's. */
  readonly artifact?: Buffer;
}

/** Maximum number of referrers and layers to check; registries control how many exist. */
const MAX_CANDIDATES = 100;
/** An attestation may contain an SBOM. */
const MAX_CANDIDATE_BYTES = 8 * 1024 * 1024;

const BUNDLE = /^application\/vnd\.dev\.sigstore\.bundle/;
const SIMPLE_SIGNING = 'application/vnd.dev.cosign.simplesigning.v1+json';
const ENVELOPE = 'application/vnd.dsse.envelope.v1+json';

/** Bundles among the referrers (cosign 3), then the tags `sha256-….sig` and `.att` (cosign 2). @throws RegistryError */
export async function* candidatesOf(image: SignedImage, signal: AbortSignal): AsyncGenerator<Candidate> {
  let left = MAX_CANDIDATES;
  for await (const candidate of bundles(image, signal)) {
    yield candidate;
    if ((left -= 1) <= 0) return;
  }
  for (const suffix of ['sig', 'att']) {
    for await (const candidate of oldSignatures(image, suffix, signal)) {
      yield candidate;
      if ((left -= 1) <= 0) return;
    }
  }
}

async function* bundles(image: SignedImage, signal: AbortSignal): AsyncGenerator<Candidate> {
  const { client, repository, digest } = image;
  const budget = new CopyBudget(DEFAULT_COPY_LIMITS);
  const { descriptors } = await listReferrers(client, repository, digest, budget, { signal });
  for (const referrer of byImportance(descriptors)) {
    if (referrer.artifactType !== undefined && !BUNDLE.test(referrer.artifactType)) continue;
    for (const layer of await layersOf(image, referrer.digest, signal)) {
      if (!BUNDLE.test(layer.mediaType)) continue;
      const bytes = await contentOf(image, layer, signal);
      yield { title: `bundle ${referrer.digest}`, bundle: bytes && json(bytes) };
    }
  }
}

async function* oldSignatures(image: SignedImage, suffix: string, signal: AbortSignal): AsyncGenerator<Candidate> {
  const tag = `${image.digest.replace(':', '-')}.${suffix}`;
  for (const layer of await layersOf(image, tag, signal)) {
    if (layer.mediaType !== SIMPLE_SIGNING && layer.mediaType !== ENVELOPE) continue;
    const bytes = await contentOf(image, layer, signal);
    if (bytes === undefined) yield { title: tag, bundle: undefined };
    else if (layer.mediaType === ENVELOPE)
      yield { title: tag, bundle: oldSignatureBundle(layer, { envelope: json(bytes) }) };
    else yield { title: tag, bundle: oldSignatureBundle(layer, { signed: bytes }), artifact: bytes };
  }
}

/** Returns no layers for a missing manifest, or one that is not an image manifest. */
async function layersOf(
  { client, repository }: SignedImage,
  reference: string,
  signal: AbortSignal,
): Promise<readonly Descriptor[]> {
  try {
    const parsed = parseManifest(await client.getManifest(repository, reference, { signal }));
    return parsed.kind === 'image' ? parsed.blobs.slice(0, MAX_CANDIDATES) : [];
  } catch (error) {
    if (error instanceof InvalidManifestError) return [];
    if (error instanceof RegistryError && (error.kind === 'absent' || error.kind === 'invalid')) return [];
    throw error;
  }
}

/** @returns undefined for a blob that is too large, or does not match its digest */
async function contentOf(
  { client, repository }: SignedImage,
  layer: Descriptor,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  if (layer.size > MAX_CANDIDATE_BYTES || !/^sha(?:256|512):/.test(layer.digest)) return undefined;
  return readBlob(client, repository, layer, signal);
}

function json(bytes: Buffer): unknown {
  try {
    return parseBoundedJson(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}
