/**
 * The SBOM of the bundle, CycloneDX 1.5 JSON: npm's own (`npm sbom`, from the lock file), cut down to the packages that
 * esbuild put into the file. After build.mjs; writes dist/image-swapper.cdx.json, the same for the same sources.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { reproducible } from './sbom-document.mjs';
import { packageVersion } from './version.mjs';

const folder = fileURLToPath(new URL('../', import.meta.url));
const root = fileURLToPath(new URL('../../', import.meta.url));
const json = (path) => JSON.parse(readFileSync(path, 'utf8'));

/** Folders of the packages in the bundle, as the lock file names them: `node_modules/express`. */
export function bundledPackages(inputs) {
  const folders = inputs.flatMap((path) => /^(?:\.\.\/)?(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []);
  return [...new Set(folders)].sort();
}

/** @throws Error when a package of the bundle is not in npm's SBOM: the lock file is of other sources then */
export function bundleSbom() {
  const lock = json(`${root}package-lock.json`);
  const all = JSON.parse(
    execFileSync(
      'npm',
      'sbom --sbom-format cyclonedx --package-lock-only'.split(' '),
      // npm prints deprecations to its stderr.
      { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 64 * 1024 * 1024 },
    ),
  );
  const known = new Map(all.components.map((component) => [component['bom-ref'], component]));
  const refs = bundledPackages(json(`${folder}dist/image-swapper.inputs.json`)).map((path) => {
    const entry = lock.packages[path] ?? lock.packages[`extension-service/${path}`];
    const ref = `${path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)}@${entry?.version}`;
    if (!known.has(ref))
      throw new Error(`${path} is in the bundle and ${ref} not in npm's SBOM: run npm ci, then npm run build`);
    return ref;
  });
  const kept = new Set(refs);
  const version = packageVersion();
  const own = `pkg:npm/%40image-swapper/extension-service@${version}`;
  return reproducible({
    ...all,
    metadata: {
      lifecycles: [{ phase: 'build' }],
      component: {
        'bom-ref': own,
        type: 'application',
        name: 'image-swapper',
        version,
        purl: own,
        licenses: [{ license: { id: 'Apache-2.0' } }],
      },
    },
    components: [...kept].sort().map((ref) => inBundle(known.get(ref))),
    dependencies: [
      { ref: own, dependsOn: [...kept].sort() },
      ...all.dependencies
        .filter(({ ref }) => kept.has(ref))
        .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((other) => kept.has(other)) })),
    ],
  });
}

/**
 * The facts on which every version of npm agrees. npm takes some packages for those that only development needs: they are in the
 * file anyway.
 */
function inBundle(component) {
  const { type, name, version, purl, hashes, licenses } = component;
  return { 'bom-ref': component['bom-ref'], type, name, version, scope: 'required', purl, hashes, licenses };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(`${folder}dist/image-swapper.cdx.json`, bundleSbom());
}
