import { Readable } from 'node:stream';
import { USAGE_REPOSITORY, parseUsageRecord, formatUsageRecord, updatedRecord } from '../../core/gc/usage-record.js';
import type { Usage, UsageRecord } from '../../core/gc/usage-record.js';
import type { NamingTarget } from '../../core/naming/target.js';
import type { RegistryClient } from '../../registry/client.js';
import { digestOf } from '../../registry/digests.js';
import { RegistryError } from '../../registry/errors.js';
import { MEDIA_TYPES, parseManifest } from '../../registry/manifest.js';
import type { RawManifest } from '../../registry/manifest.js';
import { readBlob } from '../../registry/read-blob.js';
import type { Descriptor } from '../../registry/types.js';

const ARTIFACT_TYPE = 'application/vnd.image-swapper.usage.v1';
const RECORD_TYPE = 'application/vnd.image-swapper.usage.v1+json';
const EMPTY_TYPE = 'application/vnd.oci.empty.v1+json';
const MAX_RECORD_BYTES = 64 * 1024 * 1024;
/** Maximum writes if other installations write at the same time. */
const MAX_WRITES = 3;

/** The records of the clusters in one target: OCI artifacts, under the cluster's name. */
export class UsageStore {
  readonly repository: string;

  constructor(
    private readonly client: RegistryClient,
    { path }: Pick<NamingTarget, 'path'>,
  ) {
    this.repository = path === '' ? USAGE_REPOSITORY : `${path}/${USAGE_REPOSITORY}`;
  }

  /** By cluster; undefined for an unreadable one. @throws RegistryError if the list cannot be read */
  async records(signal: AbortSignal): Promise<ReadonlyMap<string, UsageRecord | undefined>> {
    const records = new Map<string, UsageRecord | undefined>();
    for (const cluster of await this.client.listTags(this.repository, { signal })) {
      // A tag may disappear after the list was read: an unreadable record also stops gc.
      const read = await this.read(cluster, signal).catch(() => undefined);
      records.set(cluster, read?.record);
    }
    return records;
  }

  /**
   * Merges uses into the cluster's record. Reads it again afterwards, so that after two parallel writes both are in it.
   *
   * @throws RegistryError, or UsageRecordError for a text that is not a record: nothing is then written
   */
  async update(usage: Usage, signal: AbortSignal): Promise<UsageRecord> {
    for (let tries = 1; ; tries++) {
      const before = await this.read(usage.cluster, signal);
      const record = updatedRecord(before?.record, usage);
      const digest = await this.write(record, signal);
      const now = await this.client.headManifest(this.repository, usage.cluster, { signal });
      if (now?.digest === undefined || now.digest === digest) {
        if (before !== undefined && before.digest !== digest) await this.discard(before.digest, signal);
        return record;
      }
      if (tries >= MAX_WRITES) {
        const message = `the record of cluster ${usage.cluster} is written by others at the same time`;
        throw new RegistryError(message, { kind: 'conflict', host: this.client.host, retryable: true });
      }
    }
  }

  private async read(
    cluster: string,
    signal: AbortSignal,
  ): Promise<{ readonly record: UsageRecord; readonly digest: string } | undefined> {
    let manifest: RawManifest;
    try {
      manifest = await this.client.getManifest(this.repository, cluster, { signal });
    } catch (error) {
      if (error instanceof RegistryError && error.kind === 'absent') return undefined;
      throw error;
    }
    const parsed = parseManifest(manifest);
    const blob = parsed.kind === 'image' ? parsed.blobs.find(({ mediaType }) => mediaType === RECORD_TYPE) : undefined;
    if (blob === undefined || blob.size > MAX_RECORD_BYTES) return { record: parseUsageRecord(''), digest: '' };
    return { record: parseUsageRecord((await this.readBlob(blob, signal)).toString('utf8')), digest: manifest.digest };
  }

  private async readBlob(blob: Descriptor, signal: AbortSignal): Promise<Buffer> {
    const bytes = await readBlob(this.client, this.repository, blob, signal);
    if (bytes !== undefined) return bytes;
    const message = `${this.repository}: the record is not what its digest says`;
    throw new RegistryError(message, { kind: 'invalid', host: this.client.host });
  }

  private async write(record: UsageRecord, signal: AbortSignal): Promise<string> {
    const [config, layer] = [Buffer.from('{}'), Buffer.from(formatUsageRecord(record))];
    const described = (mediaType: string, bytes: Buffer): Descriptor => ({
      mediaType,
      digest: digestOf(bytes),
      size: bytes.length,
    });
    const blobs = [
      { bytes: config, descriptor: described(EMPTY_TYPE, config) },
      { bytes: layer, descriptor: described(RECORD_TYPE, layer) },
    ] as const;
    const { host } = this.client;
    for (const { bytes, descriptor } of blobs) {
      const open = (from = 0): Promise<Awaited<ReturnType<RegistryClient['getBlob']>>> =>
        Promise.resolve({ host, stream: Readable.from([bytes.subarray(from)]), skip: 0, whole: true, resume: open });
      await this.client.uploadBlob(this.repository, descriptor, open, { signal });
    }
    const bytes = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.ociManifest,
        artifactType: ARTIFACT_TYPE,
        config: blobs[0].descriptor,
        layers: [blobs[1].descriptor],
      }),
    );
    const manifest = { mediaType: MEDIA_TYPES.ociManifest, bytes, digest: digestOf(bytes) };
    await this.client.putManifest(this.repository, record.cluster, manifest, { signal });
    return manifest.digest;
  }

  /** Nothing reads the previous record; if deleting is not allowed, the registry's own rules remove it. */
  private async discard(digest: string, signal: AbortSignal): Promise<void> {
    try {
      await this.client.deleteManifest(this.repository, digest, { signal });
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
    }
  }
}
