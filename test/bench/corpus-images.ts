import {
  OCI_CONFIG,
  OCI_INDEX,
  OCI_LAYER,
  OCI_MANIFEST,
  type BuiltImage,
  type BuiltManifest,
} from '../fakes/images.js';
import { bytesContent, patternContent, type Content } from '../fakes/registry-content.js';

const IMAGES = 40;
const TAGS = 50;
const BASES = 4;
const ARCHITECTURES = ['amd64', 'arm64', 's390x'];
const LAYERS_OF_BASE = 2;
const OWN_LAYERS = 2;
const BASE_LAYER_BYTES = 3_000_000;
const OWN_LAYER_BYTES = 950_000;

export interface CorpusImage {
  readonly repository: string;
  readonly tags: readonly string[];
  readonly image: BuiltImage;
}

export interface Corpus {
  readonly images: readonly CorpusImage[];
  /** Bytes of every distinct blob, by digest. */
  readonly blobs: ReadonlyMap<string, number>;
}

/**
 * 40 images of 3 platforms with 50 tags, each on one of 4 bases: 300 MB in 384 distinct blobs. They are the same on
 * every machine.
 */
export function buildCorpus(): Corpus {
  const images = Array.from({ length: IMAGES }, (_, index) => ({
    repository: `corpus/app-${index}`,
    tags: index < TAGS - IMAGES ? ['1.0', 'stable'] : ['1.0'],
    image: corpusImage(index),
  }));
  const blobs = images.flatMap(({ image }) => image.blobs.map(({ digest, size }) => [digest, size] as const));
  return { images, blobs: new Map(blobs) };
}

/** The content of bases is created once, because its digest costs a pass over the bytes. */
const contents = new Map<string, Content>();

function content(size: number, seed: number): Content {
  const key = `${size} ${seed}`;
  const made = contents.get(key) ?? patternContent(size, seed);
  contents.set(key, made);
  return made;
}

function corpusImage(index: number): BuiltImage {
  const base = index % BASES;
  const blobs = new Map<string, Content>();
  const manifests: BuiltManifest[] = [];
  const platforms = new Map<string, string>();
  const children = ARCHITECTURES.map((architecture, number) => {
    const layers = [
      ...Array.from({ length: LAYERS_OF_BASE }, (_, n) => content(BASE_LAYER_BYTES, 1 + base * 100 + number * 10 + n)),
      ...Array.from({ length: OWN_LAYERS }, (_, n) => content(OWN_LAYER_BYTES, 1_000 + index * 100 + number * 10 + n)),
    ];
    const platform = { architecture, os: 'linux' };
    const rootfs = { type: 'layers', diff_ids: layers.map(({ digest }) => digest) };
    const config = json({ ...platform, created: '2026-01-01T00:00:00Z', config: {}, rootfs });
    for (const blob of [...layers, config]) blobs.set(blob.digest, blob);
    const manifest = json({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: { mediaType: OCI_CONFIG, digest: config.digest, size: config.size },
      layers: layers.map(({ digest, size }) => ({ mediaType: OCI_LAYER, digest, size })),
    });
    manifests.push({ mediaType: OCI_MANIFEST, bytes: manifest.bytes, digest: manifest.digest });
    platforms.set(`linux/${architecture}`, manifest.digest);
    return { mediaType: OCI_MANIFEST, digest: manifest.digest, size: manifest.size, platform };
  });
  const top = json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: children });
  manifests.push({ mediaType: OCI_INDEX, bytes: top.bytes, digest: top.digest });
  const all = [...blobs.values()];
  return {
    digest: top.digest,
    manifests,
    blobs: all,
    platforms,
    blobBytes: all.reduce((sum, { size }) => sum + size, 0),
  };
}

function json(value: unknown): Content & { readonly bytes: Buffer } {
  const bytes = Buffer.from(JSON.stringify(value));
  return { ...bytesContent(bytes), bytes };
}
