/**
 * Everything of a release, without publishing anything: node scripts/release.mjs [--output FOLDER] [--without-image]
 * [--chart-index FILE]. Packages, chart and its repository's index, image, SBOMs, notes and SHA256SUMS; the same bytes for
 * the same commit. Artifacts whose tool is missing are skipped with a warning; with CI set they fail. See
 * docs/release.md.
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chartIndex } from './chart-index.mjs';
import { buildImage, sourceDate, writeImageSbom } from './image.mjs';
import { packageVersion, versionProblems } from './version.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const service = join(root, 'extension-service');
const { values } = parseArgs({
  options: {
    output: { type: 'string' },
    'without-image': { type: 'boolean' },
    // The index that the chart repository has now, of the versions before.
    'chart-index': { type: 'string' },
  },
});
const output = resolve(values.output ?? join(root, 'dist', 'release'));
const version = packageVersion();
process.env.SOURCE_DATE_EPOCH = sourceDate();

const problems = versionProblems();
if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
if (run('git', ['status', '--porcelain']) !== '') {
  console.error('the working tree has changes: this is not what the commit says');
}

rmSync(output, { recursive: true, force: true });
mkdirSync(output, { recursive: true });
step('packages', packages);
step('chart', chart);
if (values['without-image'] !== true) step('image', image);
copyFileSync(join(service, 'dist', 'image-swapper.cdx.json'), join(output, `image-swapper-${version}.cdx.json`));
writeFileSync(join(output, 'RELEASE_NOTES.md'), notes());
const files = readdirSync(output).sort();
const sums = files.map((file) => `${sha256(join(output, file))}  ${file}\n`);
writeFileSync(join(output, 'SHA256SUMS'), sums.join(''));
console.log(sums.join(''));

/** The constructs, and the service as a package without dependencies: its bundle has them inside. */
function packages() {
  for (const workspace of ['cdk8s', 'extension-service']) run('npm', ['run', 'build', '--workspace', workspace]);
  run('npm', ['pack', '--pack-destination', output], join(root, 'cdk8s'));
  withFolder((folder) => {
    const { name, description, license, engines, bin } = JSON.parse(
      readFileSync(join(service, 'package.json'), 'utf8'),
    );
    // npm takes a package with a scope for a private one.
    const publishConfig = { access: 'public' };
    const manifest = { name, version, description, license, engines, bin, publishConfig };
    writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
    mkdirSync(join(folder, 'dist'));
    for (const file of ['image-swapper.cjs', 'image-swapper.cdx.json']) {
      copyFileSync(join(service, 'dist', file), join(folder, 'dist', file));
    }
    for (const file of ['LICENSE', 'README.md']) copyFileSync(join(root, file), join(folder, file));
    run('npm', ['pack', '--pack-destination', output], folder);
  });
}

/** Helm says what belongs into the archive; its times and owners are those of this machine, and are replaced. */
function chart() {
  if (!existsSync(join(service, 'chart', 'Chart.yaml'))) return missing('extension-service/chart is not there');
  const helm = process.env.HELM || 'helm';
  if (!has(helm, 'version')) return missing('helm is not there: put it on the PATH, or give its path as HELM');
  withFolder((folder) => {
    run(helm, ['package', join(service, 'chart'), '--destination', folder]);
    const name = `image-swapper-${version}.tgz`;
    run('tar', ['-xzf', name], folder);
    rmSync(join(folder, name));
    const tar = archive(folder, 'image-swapper', join(folder, 'chart.tar'));
    run('gzip', ['--no-name', '--best', tar]);
    copyFileSync(`${tar}.gz`, join(output, name));
    const published = values['chart-index'];
    const index = chartIndex({
      chart: readFileSync(join(folder, 'image-swapper', 'Chart.yaml'), 'utf8'),
      digest: sha256(join(output, name)),
      file: name,
      seconds: process.env.SOURCE_DATE_EPOCH,
      ...(published !== undefined && { published: readFileSync(published, 'utf8') }),
    });
    writeFileSync(join(output, 'index.yaml'), index);
  });
}

function image() {
  for (const tool of ['buildah', 'mmdebstrap']) {
    if (!has(tool, '--version')) return missing(`${tool} is not there: install the Debian package ${tool}`);
  }
  withFolder((folder) => {
    const layout = join(folder, 'layout');
    const { index, ...platforms } = buildImage(layout);
    archive(layout, '.', join(output, `image-swapper-${version}.oci.tar`));
    const lines = [`${index}  image-swapper:${version}`];
    for (const [platform, digest] of Object.entries(platforms)) {
      const slug = platform.replaceAll('/', '-');
      writeImageSbom(layout, digest, join(output, `image-swapper-${version}-${slug}.cdx.json`));
      lines.push(`${digest}  image-swapper:${version} ${platform}`);
    }
    writeFileSync(join(output, 'image-digests.txt'), `${lines.join('\n')}\n`);
  });
}

/** The changelog's section of this version. */
function notes() {
  const changelog = readFileSync(join(root, 'CHANGELOG.md'), 'utf8');
  const [, rest = ''] = changelog.split(new RegExp(`^## \\[${version.replaceAll('.', '\\.')}\\].*\n`, 'm'));
  return `# image-swapper ${version}\n${rest.split(/^(?:## |\[)/m)[0].trimEnd()}\n`;
}

/** A tar with nothing of this machine in it. */
function archive(folder, path, file) {
  const fixed = [
    '--sort=name',
    `--mtime=@${process.env.SOURCE_DATE_EPOCH}`,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
  ];
  run('tar', ['--create', '--format=ustar', '--mode=u+rw,go=rX', ...fixed, '--file', file, '-C', folder, path]);
  return file;
}

function sha256(file) {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

function step(name, action) {
  console.error(`== ${name}`);
  action();
}

function missing(message) {
  if (process.env.CI) throw new Error(message);
  console.error(`\n*** LEFT OUT: ${message} ***\n`);
}

function has(command, argument) {
  try {
    execFileSync(command, [argument], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function run(command, args, cwd = root) {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
}

function withFolder(action) {
  const folder = mkdtempSync(join(tmpdir(), 'image-swapper-release-'));
  try {
    action(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
