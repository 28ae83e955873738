import { createHash } from 'node:crypto';
import { parseBoundedJson } from '../core/json-bounds.js';
import type { CopyOptions } from './copy-types.js';
import type { TreeCopy } from './copy-tree.js';
import { RegistryError } from './errors.js';
import { InvalidManifestError, MEDIA_TYPES, parseDescriptor, type RawManifest } from './manifest.js';
import type { Descriptor } from './types.js';
import { messageOf } from '../util/message-of.js';

/** Kinds of cosign's tags, older than the referrers API and still its default. */
const DIGEST_TAGS = ['sig', 'att', 'sbom'];
/** Referrers of one digest; more is abuse. */
const REFERRER_LIMIT = 100;

/**
 * Copies what refers to `subjects` (the image first, then its platforms): by the referrers API of distribution-spec 1.1,
 * by its fallback tag `sha256-<hex>`, and for the image by cosign's tags. Nothing here fails the image: the warnings come
 * back as texts. Referrers of referrers are not followed.
 */
export async function copyReferrers(
  options: CopyOptions,
  tree: TreeCopy,
  subjects: readonly Descriptor[],
): Promise<string[]> {
  const warnings: string[] = [];
  const tolerate = async (what: string, task: () => Promise<void>): Promise<void> => {
    try {
      await task();
    } catch (error) {
      tree.signal.throwIfAborted();
      warnings.push(`${what}: ${messageOf(error)}`);
    }
  };
  for (const [index, subject] of subjects.entries()) {
    await tolerate(`referrers of ${subject.digest}`, () => copySubject(options, subject));
    if (index > 0) continue;
    for (const kind of DIGEST_TAGS) {
      const tag = `${subject.digest.replace(':', '-')}.${kind}`;
      await tolerate(`tag ${tag}`, () => copyTag(options, tag));
    }
  }
  return warnings;

  async function copySubject(of: CopyOptions, subject: Descriptor): Promise<void> {
    const found = await listReferrers(of, subject.digest);
    const unkept: Descriptor[] = [];
    for (const descriptor of found.slice(0, REFERRER_LIMIT)) {
      await tolerate(`referrer ${descriptor.digest}`, async () => {
        const manifest = await readManifest(of, descriptor.digest);
        if (!(await copyWhole(manifest, manifest.digest))) unkept.push(descriptor);
      });
    }
    if (unkept.length > 0) await extendFallbackTag(of, subject.digest, unkept);
  }

  /** Failures of a referrer must not stop the image, so each has a tree of its own. */
  async function copyWhole(manifest: RawManifest, reference: string): Promise<boolean> {
    const own = tree.branch();
    try {
      await own.copyContent(manifest, own.parse(manifest));
      return await own.put(manifest, reference);
    } finally {
      tree.absorb(own);
    }
  }

  async function copyTag(of: CopyOptions, tag: string): Promise<void> {
    const { client, reference } = of.source;
    const head = await client.headManifest(reference.repository, tag, tree.sourceContext);
    if (head === undefined) return;
    await copyWhole(await readManifest(of, head.digest ?? tag), tag);
  }

  async function readManifest(of: CopyOptions, reference: string): Promise<RawManifest> {
    const { client, reference: source } = of.source;
    return client.getManifest(source.repository, reference, tree.sourceContext);
  }

  async function listReferrers(of: CopyOptions, digest: string): Promise<readonly Descriptor[]> {
    const { client, reference } = of.source;
    const api = await client.getJson(reference.repository, `referrers/${digest}`, tree.sourceContext);
    if (api !== undefined) return descriptorsOf(api);
    const index = await absentAsUndefined(readManifest(of, digest.replace(':', '-')));
    return index === undefined ? [] : descriptorsOf(jsonOf(index));
  }

  /** Distribution-spec 1.1, "Unavailable Referrers API": the client keeps the list, as an index under a tag. */
  async function extendFallbackTag(of: CopyOptions, digest: string, added: readonly Descriptor[]): Promise<void> {
    const { client, reference } = of.target;
    const tag = digest.replace(':', '-');
    const present = await absentAsUndefined(client.getManifest(reference.repository, tag, tree.targetContext));
    const before = present === undefined ? [] : descriptorsOf(jsonOf(present));
    const known = new Set(before.map((descriptor) => descriptor.digest));
    const missing = added.filter((descriptor) => !known.has(descriptor.digest));
    if (missing.length === 0) return;
    const mediaType = MEDIA_TYPES.ociIndex;
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests: [...before, ...missing] }));
    await tree.put({ mediaType, bytes, digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}` }, tag);
  }
}

async function absentAsUndefined<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof RegistryError && error.kind === 'absent') return undefined;
    throw error;
  }
}

/** Entries that cannot be fetched and checked are left out. */
function descriptorsOf(json: unknown): Descriptor[] {
  const list = (json as { manifests?: unknown } | null)?.manifests;
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry: unknown) => {
    try {
      return [parseDescriptor(entry)];
    } catch (error) {
      if (error instanceof InvalidManifestError) return [];
      throw error;
    }
  });
}

function jsonOf({ bytes }: RawManifest): unknown {
  return parseBoundedJson(bytes.toString('utf8'), bytes.length);
}
