/**
 * Builds the container image from the Dockerfile without pulling anything: node scripts/image.mjs FOLDER [--arch ARCH…]
 * FOLDER becomes an OCI layout with one index (all platforms), and gets an SBOM for each platform beside it. After
 * `npm run build`. Needs buildah and mmdebstrap, and root or user namespaces. SOURCE_DATE_EPOCH (seconds) is the time of
 * all files in it: the last commit's unless given.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { Buildah } from './buildah.mjs';
import { imageSbom } from './image-sbom.mjs';
import { missingImageTools } from './image-tools.mjs';
import { NODE, debianImage, nodeImage } from './stage-images.mjs';
import { packageVersion } from './version.mjs';

const service = fileURLToPath(new URL('../', import.meta.url));
const git = (...args) => execFileSync('git', args, { cwd: service, encoding: 'utf8' }).trim();

/** Seconds since 1970 of everything that is built from this commit. */
export function sourceDate() {
  return process.env.SOURCE_DATE_EPOCH || git('log', '-1', '--format=%ct');
}

/** @returns for each platform, and for `index`, the digest */
export function buildImage(folder, archs = Object.keys(NODE.packages)) {
  const missing = missingImageTools();
  if (missing !== undefined) throw new Error(missing);
  for (const file of ['image-swapper.cjs', 'image-swapper.cdx.json']) {
    if (!existsSync(join(service, 'dist', file))) throw new Error(`dist/${file} is missing: npm run build`);
  }
  const version = packageVersion();
  const epoch = sourceDate();
  const buildah = new Buildah();
  try {
    const base = debianImage(buildah);
    const list = 'localhost/image-swapper';
    buildah.run('manifest', 'create', list);
    for (const arch of archs) {
      const args = {
        BASE: base,
        NODE: nodeImage(buildah, arch),
        VERSION: version,
        REVISION: git('rev-parse', 'HEAD'),
        // Buildah 1.28 knows it in instructions, and not in FROM.
        BUILDPLATFORM: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
      };
      const name = `${list}:${arch}`;
      buildah.run(
        ...['build', '--quiet', '--isolation', 'chroot', '--layers', '--pull-never', '--identity-label=false'],
        ...['--timestamp', epoch, '--platform', `linux/${arch}`, '--tag', name],
        ...Object.entries(args).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]),
        service,
      );
      buildah.run('manifest', 'add', list, name);
    }
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    buildah.run('manifest', 'push', '--quiet', '--all', '--format', 'oci', list, `oci:${folder}:${version}`);
  } finally {
    buildah.close();
  }
  return digests(folder);
}

function digests(folder) {
  const [{ digest }] = readJson(folder, 'index.json').manifests;
  const { manifests } = blob(folder, digest);
  return {
    index: digest,
    ...Object.fromEntries(manifests.map((entry) => [`linux/${entry.platform.architecture}`, entry.digest])),
  };
}

/** Writes the SBOM of one platform's image. */
export function writeImageSbom(folder, digest, file) {
  const [first] = blob(folder, digest).layers;
  const unpacked = mkdtempSync(join(tmpdir(), 'image-swapper-status-'));
  try {
    execFileSync('tar', [
      '-xzf',
      blobPath(folder, first.digest),
      '-C',
      unpacked,
      '--wildcards',
      '*var/lib/dpkg/status.d/*',
    ]);
    const status = join(unpacked, 'var/lib/dpkg/status.d');
    const packages = readdirSync(status).map((name) => readFileSync(join(status, name), 'utf8'));
    const bundle = readJson(service, 'dist/image-swapper.cdx.json');
    writeFileSync(file, imageSbom({ bundle, packages, digest, version: packageVersion() }));
  } finally {
    rmSync(unpacked, { recursive: true, force: true });
  }
}

const readJson = (folder, file) => JSON.parse(readFileSync(join(folder, file), 'utf8'));
const blobPath = (folder, digest) => join(folder, 'blobs', ...digest.split(':'));
const blob = (folder, digest) => JSON.parse(readFileSync(blobPath(folder, digest), 'utf8'));

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { values, positionals } = parseArgs({
    options: { arch: { type: 'string', multiple: true } },
    allowPositionals: true,
  });
  const [folder] = positionals;
  if (folder === undefined) throw new Error('give the folder for the OCI layout');
  const built = buildImage(folder, values.arch);
  for (const [platform, digest] of Object.entries(built)) {
    if (platform !== 'index')
      writeImageSbom(folder, digest, `${folder.replace(/\/$/, '')}-${platform.replace('/', '-')}.cdx.json`);
    console.log(`${digest}  ${platform}`);
  }
}
