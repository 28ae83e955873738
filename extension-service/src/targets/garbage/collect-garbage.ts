import { decideGarbage, refusalsOf, CLOCK_MARGIN_MS } from '../../core/gc/decide-garbage.js';
import type {
  GarbageDecision,
  GarbageSettings,
  StoredManifest,
  StoredRepository,
} from '../../core/gc/decide-garbage.js';
import type { UsageRecord } from '../../core/gc/usage-record.js';
import { formatReference } from '../../core/image/reference.js';
import { isMirrorName } from '../../core/naming/name.js';
import type { NamingTarget } from '../../core/naming/target.js';
import type { RegistryClient } from '../../registry/client.js';
import { RegistryError } from '../../registry/errors.js';
import { Limiter } from '../../registry/limiter.js';
import { isForeign, parseManifest } from '../../registry/manifest.js';
import { deleteImages, MAX_PARALLEL } from './delete-images.js';
import type { DeleteImagesOptions } from './delete-images.js';
import type { UsageStore } from './usage-store.js';

export interface GarbageOptions extends DeleteImagesOptions {
  readonly target: string;
  readonly naming: NamingTarget;
  readonly store: UsageStore;
  readonly settings: GarbageSettings;
  readonly dryRun: boolean;
  /** Called before the first deletion with every name that will no longer exist, in the Pods' form. */
  readonly beforeDelete?: (names: readonly string[]) => Promise<void>;
}

export interface GarbageRow {
  readonly target: string;
  /** The reference by digest that Pods could use. */
  readonly image: string;
  readonly tags: readonly string[];
  readonly state: 'deleted' | 'would-delete' | 'kept' | 'failed';
  readonly reason: string;
  /** Maximum bytes of its layers: others may share them. */
  readonly bytes: number;
}

export interface GarbageResult {
  /** Why nothing was deleted; empty if gc ran. */
  readonly refusals: readonly string[];
  readonly rows: readonly GarbageRow[];
}

/**
 * Deletes images that no cluster has used for a long time. Only reads repositories that contain such images. Reads the
 * records and the lists of tags again before the deletion, to keep images that were used or got another tag in the
 * meantime.
 *
 * @throws RegistryError if the records or a repository cannot be read
 */
export async function collectGarbage(options: GarbageOptions): Promise<GarbageResult> {
  const { store, settings, signal, dryRun } = options;
  const records = await store.records(signal);
  const refusals = refusalsOf(records, settings);
  if (refusals.length > 0) return { refusals, rows: [] };
  const limiter = new Limiter(MAX_PARALLEL);
  const repositories = oldRepositories(known(records), options);
  const stored = await Promise.all(
    repositories.map((repository) => limiter.run(() => readRepository(options, repository))),
  );
  const first = decide(stored, known(records), settings);
  const deletions = first.filter(({ action }) => action === 'delete');
  if (dryRun || deletions.length === 0)
    return { refusals, rows: await Promise.all(first.map((one) => limiter.run(() => plannedRow(options, one)))) };

  await options.beforeDelete?.(deletions.flatMap((one) => namesOf(options, one)));
  const again = await store.records(signal);
  const late = refusalsOf(again, settings);
  if (late.length > 0) return { refusals: late, rows: [] };
  const current = await Promise.all(stored.map((one) => limiter.run(() => withNewTags(options, one, deletions))));
  const decisions = decide(current, known(again), settings);
  const failures = await deleteImages(
    options,
    decisions.filter(({ action }) => action === 'delete'),
  );
  const rows = decisions.map((one) => {
    const reason = failures.get(one);
    if (reason !== undefined) return rowOf(options, { ...one, reason }, 'failed');
    return rowOf(options, one, one.action === 'keep' ? 'kept' : 'deleted');
  });
  return { refusals, rows };
}

function decide(
  stored: readonly StoredRepository[],
  records: readonly UsageRecord[],
  settings: GarbageSettings,
): readonly GarbageDecision[] {
  return stored.flatMap((repository) => decideGarbage(repository, records, settings));
}

function known(records: ReadonlyMap<string, UsageRecord | undefined>): readonly UsageRecord[] {
  return [...records.values()].filter((record) => record !== undefined);
}

/** Repositories in which a recorded image is old enough, and which can only belong to a mirror. */
function oldRepositories(records: readonly UsageRecord[], { naming, settings }: GarbageOptions): readonly string[] {
  const last = new Map<string, number>();
  for (const { uses } of records) for (const [key, time] of uses) last.set(key, Math.max(time, last.get(key) ?? 0));
  const old = new Set<string>();
  for (const [key, time] of last) {
    if (settings.now - time < settings.after + CLOCK_MARGIN_MS) continue;
    const repository = key.replace(/(?:@|:[^:@]*$).*$/, '');
    if (isMirrorName(naming, { registry: naming.host, repository })) old.add(repository);
  }
  return [...old].sort();
}

/**
 * The repository with its new tags, if an image in it is to be deleted. A repository with a single tag is not read
 * again: for registries with many of these, this would be a fourth request for each image.
 */
async function withNewTags(
  options: GarbageOptions,
  stored: StoredRepository,
  deletions: readonly GarbageDecision[],
): Promise<StoredRepository> {
  const { repository } = stored;
  const seen = new Set(stored.manifests.flatMap(({ tags }) => tags));
  if (seen.size === 1 || !deletions.some((one) => one.repository === repository)) return stored;
  const tags = await options.client.listTags(repository, { signal: options.signal });
  const fresh = tags.filter((tag) => !seen.has(tag));
  return { repository, manifests: await tagged(options, repository, fresh, stored.manifests) };
}

/** Every manifest with a tag; one request for the list and one for each tag. */
async function readRepository(options: GarbageOptions, repository: string): Promise<StoredRepository> {
  const tags = await options.client.listTags(repository, { signal: options.signal });
  return { repository, manifests: await tagged(options, repository, tags, []) };
}

/** The known manifests, and those of further tags. */
async function tagged(
  { client, signal }: GarbageOptions,
  repository: string,
  tags: readonly string[],
  known: readonly StoredManifest[],
): Promise<readonly StoredManifest[]> {
  const manifests = new Map(known.map((manifest) => [manifest.digest, manifest]));
  for (const tag of tags) {
    const manifest = await read(client, repository, tag, signal);
    // A listed tag that is missing, or archived (ECR), refers to nothing that could be deleted.
    if (manifest === undefined) continue;
    const before = manifests.get(manifest.digest);
    manifests.set(manifest.digest, { ...manifest, tags: [...(before?.tags ?? []), tag] });
  }
  return [...manifests.values()];
}

async function read(
  client: RegistryClient,
  repository: string,
  reference: string,
  signal: AbortSignal,
): Promise<Omit<StoredManifest, 'tags'> | undefined> {
  try {
    const manifest = await client.getManifest(repository, reference, { signal });
    const parsed = parseManifest(manifest);
    const children = parsed.kind === 'index' ? parsed.children.map(({ digest }) => digest) : [];
    const blobs = parsed.kind === 'image' ? parsed.blobs.filter((blob) => !isForeign(blob)) : [];
    const bytes = new Map(blobs.map(({ digest, size }) => [digest, size]));
    return { digest: manifest.digest, children, bytes: [...bytes.values()].reduce((sum, size) => sum + size, 0) };
  } catch (error) {
    if (error instanceof RegistryError && error.kind === 'absent') return undefined;
    throw error;
  }
}

/** The row of a planned deletion, with the bytes of an index's platforms, which are read only for a plan. */
async function plannedRow(options: GarbageOptions, decision: GarbageDecision): Promise<GarbageRow> {
  if (decision.action === 'keep') return rowOf(options, decision, 'kept');
  const { client, signal } = options;
  let { bytes } = decision;
  for (const child of decision.orphans) bytes += (await read(client, decision.repository, child, signal))?.bytes ?? 0;
  return rowOf(options, { ...decision, bytes }, 'would-delete');
}

function rowOf(
  { target, naming }: GarbageOptions,
  { repository, digest, tags, reason, bytes }: GarbageDecision,
  state: GarbageRow['state'],
): GarbageRow {
  return { target, image: formatReference({ registry: naming.host, repository, digest }), tags, state, reason, bytes };
}

/** The references that Pods can use for the image and its platforms. */
function namesOf(
  { naming }: GarbageOptions,
  { repository, tags, digest, orphans }: GarbageDecision,
): readonly string[] {
  const { host: registry } = naming;
  return [
    ...tags.map((tag) => formatReference({ registry, repository, tag })),
    ...[digest, ...orphans].map((one) => formatReference({ registry, repository, digest: one })),
  ];
}
