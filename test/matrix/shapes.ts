import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';

/** A manifest as bytes, with the type under which it is put. */
export interface ShapeManifest {
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly digest: string;
  /** A tag with a list of referrers. Clients maintain the list when a registry does not have the referrers API. */
  readonly listTag?: string;
}

/** Content that a registry stores and that must arrive in the mirror unchanged. */
export interface Shape {
  readonly name: string;
  readonly tag: string;
  readonly blobs: ReadonlyMap<string, Buffer>;
  /** Manifests with children before their parents. The tag names the last one. */
  readonly manifests: readonly ShapeManifest[];
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly [more: string]: unknown;
}

const OCI = 'application/vnd.oci.image';
const DOCKER = 'application/vnd.docker';
const OCI_TYPES = {
  index: `${OCI}.index.v1+json`,
  manifest: `${OCI}.manifest.v1+json`,
  config: `${OCI}.config.v1+json`,
  layer: `${OCI}.layer.v1.tar+gzip`,
};
const DOCKER_TYPES = {
  index: `${DOCKER}.distribution.manifest.list.v2+json`,
  manifest: `${DOCKER}.distribution.manifest.v2+json`,
  config: `${DOCKER}.container.image.v1+json`,
  layer: `${DOCKER}.image.rootfs.diff.tar.gzip`,
};
type Types = typeof OCI_TYPES;
const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const EMPTY = 'application/vnd.oci.empty.v1+json';
const AMD64 = { os: 'linux', architecture: 'amd64' };
const ARM64 = { os: 'linux', architecture: 'arm64' };
const UNKNOWN = { os: 'unknown', architecture: 'unknown' };
const MAX_TAG_CHARACTERS = 128;
/** Bytes of an upload chunk (`oci.uploadChunk`), and of a layer with several chunks. */
export const UPLOAD_CHUNK = 65_536;
const CHUNKED_BYTES = 5 * UPLOAD_CHUNK + 7;

/** Collects the blobs and manifests of one shape. */
class Draft {
  readonly blobs = new Map<string, Buffer>();
  readonly manifests: ShapeManifest[] = [];

  constructor(private readonly seed: string) {}

  blob(mediaType: string, content: Buffer | string, algorithm = 'sha256'): Descriptor {
    const bytes = Buffer.from(content);
    const digest = `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
    this.blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  }

  layer(mediaType: string = OCI_TYPES.layer, name = 'layer', seed = this.seed): Descriptor {
    return this.blob(mediaType, gzipSync(`${seed} ${name} `.repeat(200)));
  }

  config(types: Types = OCI_TYPES, platform: object = AMD64, layers: readonly Descriptor[] = []): Descriptor {
    const rootfs = { type: 'layers', diff_ids: layers.map(({ digest }) => digest) };
    return this.blob(types.config, JSON.stringify({ ...platform, author: this.seed, config: {}, rootfs }));
  }

  put(mediaType: string, value: object, indent?: number): Descriptor {
    const bytes = Buffer.from(JSON.stringify(value, undefined, indent));
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    this.manifests.push({ mediaType, bytes, digest });
    return { mediaType, digest, size: bytes.length };
  }

  /** @param seed of another shape, whose layers this shape shares */
  image(types: Types = OCI_TYPES, platform: object = AMD64, more: object = {}, seed = this.seed): Descriptor {
    const layers = [JSON.stringify(platform), 'shared'].map((name) => this.layer(types.layer, name, seed));
    const config = this.config(types, platform, layers);
    return this.put(types.manifest, { schemaVersion: 2, mediaType: types.manifest, config, layers, ...more });
  }

  index(children: readonly object[], types: Types = OCI_TYPES, more: object = {}): Descriptor {
    return this.put(types.index, { schemaVersion: 2, mediaType: types.index, manifests: children, ...more });
  }

  artifact(config: Descriptor, layers: readonly Descriptor[], more: object = {}): Descriptor {
    return this.put(OCI_TYPES.manifest, { schemaVersion: 2, mediaType: OCI_TYPES.manifest, config, layers, ...more });
  }
}

const twoPlatforms = (draft: Draft, index: Types, child: Types): Descriptor =>
  draft.index(
    [AMD64, ARM64].map((platform) => ({ ...draft.image(child, platform), platform })),
    index,
  );

const withLayers = (draft: Draft, layers: readonly Descriptor[]): Descriptor =>
  draft.artifact(draft.config(OCI_TYPES, AMD64, layers), layers);

/** The builder of each shape; see `Draft`. */
const BUILDERS: Readonly<Record<string, (draft: Draft) => unknown>> = {
  image: (draft) => draft.image(),
  'index of two platforms': (draft) => twoPlatforms(draft, OCI_TYPES, OCI_TYPES),
  'index with attestations': (draft) => {
    const image = draft.image();
    const statement = draft.blob(
      'application/vnd.in-toto+json',
      JSON.stringify({ _type: 'statement', of: image.digest }),
    );
    const attestation = draft.artifact(draft.config(OCI_TYPES, UNKNOWN, [statement]), [statement]);
    const annotations = {
      'vnd.docker.reference.digest': image.digest,
      'vnd.docker.reference.type': 'attestation-manifest',
    };
    draft.index([
      { ...image, platform: AMD64 },
      { ...attestation, platform: UNKNOWN, annotations },
    ]);
  },
  'Docker list of Docker images': (draft) => twoPlatforms(draft, DOCKER_TYPES, DOCKER_TYPES),
  'OCI index of Docker images': (draft) => twoPlatforms(draft, OCI_TYPES, DOCKER_TYPES),
  'Docker list of OCI images': (draft) => twoPlatforms(draft, DOCKER_TYPES, OCI_TYPES),
  'nested index': (draft) => draft.index([draft.index([{ ...draft.image(), platform: AMD64 }])]),
  'empty index': (draft) => draft.index([], OCI_TYPES, { annotations: { of: 'nothing' } }),
  'index without platforms': (draft) => draft.index([draft.image(), draft.image(OCI_TYPES, ARM64)]),
  'same child twice': (draft) => {
    const image = draft.image();
    draft.index([
      { ...image, platform: AMD64 },
      { ...image, platform: { ...AMD64, variant: 'v2' } },
    ]);
  },
  'Windows with os.version': (draft) => {
    const platform = { os: 'windows', architecture: 'amd64', 'os.version': '10.0.20348.2700' };
    draft.index([{ ...draft.image(OCI_TYPES, platform), platform }]);
  },
  'WebAssembly module': (draft) =>
    draft.artifact(draft.blob('application/vnd.wasm.config.v0+json', '{"architecture":"wasm","os":"wasip1"}'), [
      draft.blob('application/wasm', 'not really a module'),
    ]),
  'artifact with the empty config': (draft) =>
    draft.artifact(draft.blob(EMPTY, '{}'), [draft.blob('text/plain', 'hello')], {
      artifactType: 'application/vnd.example.file',
    }),
  'Helm chart': (draft) =>
    draft.artifact(draft.blob('application/vnd.cncf.helm.config.v1+json', '{"name":"chart","version":"1.0.0"}'), [
      draft.layer('application/vnd.cncf.helm.chart.content.v1.tar+gzip'),
    ]),
  'BuildKit cache image': (draft) =>
    draft.artifact(draft.blob('application/vnd.buildkit.cacheconfig.v0', '{"layers":[]}'), [draft.layer()]),
  'zero-byte layer': (draft) => withLayers(draft, [draft.blob(OCI_TYPES.layer, ''), draft.layer()]),
  'no layers': (draft) => withLayers(draft, []),
  'layer three times': (draft) => {
    const layer = draft.layer();
    withLayers(draft, [layer, layer, layer]);
  },
  'zstd layer': (draft) => withLayers(draft, [draft.layer(`${OCI}.layer.v1.tar+zstd`)]),
  '127 layers': (draft) =>
    withLayers(
      draft,
      Array.from({ length: 127 }, (_, index) => draft.layer(OCI_TYPES.layer, `number ${index}`)),
    ),
  'indented JSON': (draft) => {
    const layers = [draft.layer()];
    const config = draft.config(OCI_TYPES, AMD64, layers);
    draft.put(OCI_TYPES.manifest, { schemaVersion: 2, mediaType: OCI_TYPES.manifest, config, layers }, 4);
  },
  'manifest without mediaType': (draft) => {
    const layers = [draft.layer()];
    draft.put(OCI_TYPES.manifest, { schemaVersion: 2, config: draft.config(OCI_TYPES, AMD64, layers), layers });
  },
  'manifest of 3.9 MiB': (draft) =>
    draft.image(OCI_TYPES, AMD64, { annotations: { 'org.example.text': 'x'.repeat(3_900 * 1024) } }),
  'manifest with a subject': (draft) => {
    // The subject is not part of the tagged content, so it may be missing.
    const subject = { mediaType: OCI_TYPES.manifest, digest: `sha256:${'5'.repeat(64)}`, size: 500 };
    draft.artifact(draft.blob(EMPTY, '{}'), [draft.blob('text/plain', 'about it')], {
      artifactType: 'application/vnd.example.note',
      subject,
    });
  },
  'sha512 layer': (draft) => {
    withLayers(draft, [draft.blob(OCI_TYPES.layer, gzipSync('sixty-four bytes of digest'), 'sha512')]);
  },
  'signed image': (draft) => {
    const image = draft.image();
    const top = draft.manifests.pop();
    const bundle = draft.blob(BUNDLE, JSON.stringify({ mediaType: BUNDLE, of: image.digest }));
    const artifactType = BUNDLE;
    const signature = draft.artifact(draft.blob(EMPTY, '{}'), [bundle], { artifactType, subject: image });
    draft.index([{ ...signature, artifactType }]);
    const list = draft.manifests.pop();
    if (top === undefined || list === undefined) throw new Error('nothing was put');
    // The tag names the last one.
    draft.manifests.push({ ...list, listTag: image.digest.replace(':', '-') }, top);
  },
  'layers of another image': (draft) => draft.image(OCI_TYPES, AMD64, {}, 'image'),
  'layer in chunks': (draft) => withLayers(draft, [draft.blob(OCI_TYPES.layer, noise(CHUNKED_BYTES))]),
  'Docker foreign layer': (draft) => {
    const foreign = { ...foreignLayer(`${DOCKER}.image.rootfs.foreign.diff.tar.gzip`) };
    const layers = [foreign, draft.layer(DOCKER_TYPES.layer)];
    const config = draft.config(DOCKER_TYPES, AMD64, layers);
    draft.put(DOCKER_TYPES.manifest, { schemaVersion: 2, mediaType: DOCKER_TYPES.manifest, config, layers });
  },
  'nondistributable layer': (draft) =>
    withLayers(draft, [foreignLayer(`${OCI}.layer.nondistributable.v1.tar+gzip`), draft.layer()]),
  'index of blobs': (draft) =>
    draft.index([draft.layer(), draft.blob('application/vnd.buildkit.cacheconfig.v0', '{"layers":[]}')]),
  'Docker plugin': (draft) => {
    const layers = [draft.layer(DOCKER_TYPES.layer)];
    const config = draft.blob(`${DOCKER}.plugin.v1+json`, '{"description":"a plugin"}');
    draft.put(DOCKER_TYPES.manifest, { schemaVersion: 2, mediaType: DOCKER_TYPES.manifest, config, layers });
  },
  'tag of 128 characters': (draft) => draft.image(),
};

/** Returns bytes that do not compress and are the same each time. */
function noise(length: number): Buffer {
  const pieces = Array.from({ length: Math.ceil(length / 32) }, (_, n) => createHash('sha256').update(`${n}`).digest());
  return Buffer.concat(pieces).subarray(0, length);
}

/** A layer that registries do not store. The manifest contains only its URL. */
function foreignLayer(mediaType: string): Descriptor {
  const digest = `sha256:${createHash('sha256').update('elsewhere').digest('hex')}`;
  return { mediaType, digest, size: 9, urls: ['https://layers.example.com/elsewhere'] };
}

export const SHAPES: readonly Shape[] = Object.entries(BUILDERS).map(([name, build]) => {
  const draft = new Draft(name);
  build(draft);
  const tag = name.startsWith('tag of') ? 't'.repeat(MAX_TAG_CHARACTERS) : 'v1';
  return { name, tag, blobs: draft.blobs, manifests: draft.manifests };
});

/** Returns the shape's repository: its name in characters that all registries accept. */
export const repositoryOf = ({ name }: Shape): string => name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
