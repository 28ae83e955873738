import type { FakeRegistry } from './registry.js';

/** Seconds since the epoch. */
export interface FakeUsage {
  readonly now: number;
  /** Time of the last use, by `repository:tag` or `repository@digest`. */
  readonly uses: ReadonlyMap<string, number>;
  /** @default mirror */
  readonly path?: string;
  /** Keys that replace those of a healthy record. */
  readonly more?: object;
}

const DAY_SECONDS = 86_400;

/**
 * Puts the usage record of a cluster into a registry, as its service does. By default the record is healthy, ten
 * minutes old and covers the last 100 days.
 */
export function putUsageRecord(
  registry: FakeRegistry,
  cluster: string,
  { now, uses, path = 'mirror', more }: FakeUsage,
): void {
  const repository = `${path}/image-swapper-usage`;
  const record = {
    version: 1,
    cluster,
    since: now - 100 * DAY_SECONDS,
    writers: { [`uid-${cluster}`]: now - 600 },
    uses: Object.fromEntries(uses),
    ...more,
  };
  const config = Buffer.from('{}');
  const layer = Buffer.from(JSON.stringify(record));
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = {
    schemaVersion: 2,
    mediaType,
    artifactType: 'application/vnd.image-swapper.usage.v1',
    config: {
      mediaType: 'application/vnd.oci.empty.v1+json',
      digest: registry.putBlob(repository, config),
      size: config.length,
    },
    layers: [
      {
        mediaType: 'application/vnd.image-swapper.usage.v1+json',
        digest: registry.putBlob(repository, layer),
        size: layer.length,
      },
    ],
  };
  registry.putManifest(repository, cluster, mediaType, Buffer.from(JSON.stringify(manifest)));
}
