import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pushImage } from '../../bench/push-image.js';
import { OCI_CONFIG, OCI_MANIFEST } from '../../fakes/images.js';
import type { BuiltImage } from '../../fakes/images.js';
import { bytesContent, sha256 } from '../../fakes/registry-content.js';
import type { RealRegistry } from '../../fakes/real-registry.js';

const PLAIN_LAYER = 'application/vnd.oci.image.layer.v1.tar';

export interface ProgramImage {
  /** Path in the image → file on this machine. The libraries of programs are added. */
  readonly files: Readonly<Record<string, string>>;
  /** Path in the image → content of the file. */
  readonly texts?: Readonly<Record<string, string>>;
  readonly entrypoint: readonly string[];
  readonly command?: readonly string[];
  readonly user?: string;
}

/**
 * Builds an image with one layer from programs of this machine. This takes seconds, and a build from packages takes
 * minutes.
 */
export function imageOf({
  files,
  texts = {},
  entrypoint,
  command = [],
  user = '65532:65532',
}: ProgramImage): BuiltImage {
  const layer = layerOf(files, texts);
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: { Entrypoint: entrypoint, Cmd: command, User: user, WorkingDir: '/tmp', Env: ['PATH=/usr/bin:/bin'] },
      rootfs: { type: 'layers', diff_ids: [sha256(layer)] },
    }),
  );
  const blobs = [bytesContent(config), bytesContent(layer)];
  const [described, layered] = blobs.map(({ digest, size }) => ({ digest, size }));
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: { mediaType: OCI_CONFIG, ...described },
      layers: [{ mediaType: PLAIN_LAYER, ...layered }],
    }),
  );
  const digest = sha256(manifest);
  const manifests = [{ mediaType: OCI_MANIFEST, bytes: manifest, digest }];
  return { digest, manifests, blobs, platforms: new Map(), blobBytes: config.length + layer.length };
}

/** @returns the reference with which nodes pull the image */
export async function push(
  registry: RealRegistry,
  repository: string,
  image: BuiltImage,
  login?: { readonly username: string; readonly password: string },
): Promise<string> {
  await pushImage(registry.here, repository, image, '1', login);
  return `${registry.host}/${repository}:1`;
}

function layerOf(files: Readonly<Record<string, string>>, texts: Readonly<Record<string, string>>): Buffer {
  const root = mkdtempSync(join(tmpdir(), 'image-swapper-layer-'));
  try {
    const libraries = Object.values(files).flatMap(linkedLibraries);
    const all = { ...Object.fromEntries(libraries.map((path) => [path, path])), ...files };
    for (const [path, file] of Object.entries(all)) {
      place(root, path);
      copyFileSync(file, join(root, path));
    }
    for (const [path, text] of Object.entries(texts)) {
      place(root, path);
      writeFileSync(join(root, path), text);
    }
    place(root, 'tmp/nothing');
    chmodSync(join(root, 'tmp'), 0o1777);
    const tar = join(root, '.layer.tar');
    execFileSync('tar', ['--owner=0', '--group=0', '--exclude=./.layer.tar', '-cf', tar, '-C', root, '.']);
    return readFileSync(tar);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function place(root: string, path: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true, mode: 0o755 });
}

/** Returns the libraries and the loader of a program. A static program has none. */
function linkedLibraries(file: string): string[] {
  let text: string;
  try {
    text = execFileSync('ldd', [file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return [];
  }
  return [...text.matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => path);
}
