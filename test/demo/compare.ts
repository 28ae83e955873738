import { createHash } from 'node:crypto';
import { DemoError } from './error.js';

export interface PlatformDigest {
  readonly platform: string;
  /** Digest that the index names. */
  readonly digest: string;
  /** Digest of the bytes that came back. */
  readonly pulled: string;
}

export interface PulledImage {
  readonly digest: string;
  readonly platforms: readonly PlatformDigest[];
  readonly blobs: number;
}

interface Manifest {
  readonly config?: { readonly digest: string };
  readonly layers?: readonly { readonly digest: string }[];
  readonly manifests?: readonly {
    readonly digest: string;
    readonly platform?: { readonly os: string; readonly architecture: string; readonly variant?: string };
  }[];
}

/** Pulls an image over plain HTTP, without the service's code: every manifest and blob is hashed here. */
export async function pull(registry: string, repository: string, reference: string): Promise<PulledImage> {
  const base = `${registry}/v2/${repository}`;
  const top = await fetchBytes(`${base}/manifests/${reference}`);
  const index = JSON.parse(top.text) as Manifest;
  const blobs = new Set<string>();
  const platforms: PlatformDigest[] = [];
  for (const child of index.manifests ?? []) {
    const { os, architecture, variant } = child.platform ?? { os: 'unknown', architecture: 'unknown' };
    const pulled = await fetchBytes(`${base}/manifests/${child.digest}`);
    platforms.push({
      platform: [os, architecture, variant].filter(Boolean).join('/'),
      digest: child.digest,
      pulled: pulled.digest,
    });
    for (const digest of blobDigests(JSON.parse(pulled.text) as Manifest)) blobs.add(digest);
  }
  for (const digest of blobDigests(index)) blobs.add(digest);
  for (const digest of blobs) {
    const blob = await fetchBytes(`${base}/blobs/${digest}`);
    if (blob.digest !== digest) throw new DemoError(`${base}: blob ${digest} came back as ${blob.digest}`);
  }
  return { digest: top.digest, platforms, blobs: blobs.size };
}

function blobDigests({ config, layers }: Manifest): string[] {
  return [...(config === undefined ? [] : [config]), ...(layers ?? [])].map(({ digest }) => digest);
}

async function fetchBytes(url: string): Promise<{ digest: string; text: string }> {
  const accept =
    'application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, */*';
  const response = await fetch(url, { headers: { Accept: accept } });
  if (!response.ok) throw new DemoError(`GET ${url}: ${response.status}`);
  const bytes = Buffer.from(await response.arrayBuffer());
  return { digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`, text: bytes.toString('utf8') };
}
