import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { read } from '../../tools/docs.js';

const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;

/** Runs the script that resolves the base images of the Dockerfile. */
function resolveAt(registry: string): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const args = ['extension-service/scripts/base-images.mjs', '--registry', registry];
    execFile(process.execPath, args, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : 1, stdout, stderr });
    });
  });
}

describe('base images', () => {
  const stop: (() => void)[] = [];
  afterEach(() => stop.splice(0).forEach((close) => close()));

  /** Starts a registry that requires a token and returns this digest. */
  async function registry(digest: string): Promise<{ url: string; asked: string[] }> {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      const { method = '', url = '', headers } = request;
      asked.push(`${method} ${url}`);
      if (url.startsWith('/token')) {
        response.end(JSON.stringify({ token: 'anonymous' }));
      } else if (headers.authorization !== 'Bearer anonymous') {
        const scope = `repository:${url.split('/').slice(2, 4).join('/')}:pull`;
        response.setHeader(
          'www-authenticate',
          `Bearer realm="http://${headers.host}/token",service="r",scope="${scope}"`,
        );
        response.writeHead(401).end();
      } else {
        response.setHeader('docker-content-digest', digest).writeHead(200).end();
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    stop.push(() => server.close());
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
  }

  it('are resolved to digests at the registry', async () => {
    const { url, asked } = await registry(DIGEST);
    const host = new URL(url).host;
    const { code, stdout } = await resolveAt(url);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout:
        `--build-arg BASE=${host}/library/debian@${DIGEST} ` + `--build-arg NODE=${host}/library/node@${DIGEST}\n`,
    });
    expect(asked.filter((line) => line.startsWith('HEAD') && line.includes('library/node'))).toHaveLength(2);
  });

  it.each(['', 'sha256:0123', 'latest'])('are not printed when the registry returns the digest %j', async (digest) => {
    const { url } = await registry(digest);
    const { code, stdout, stderr } = await resolveAt(url);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('the registry gave no digest');
  });

  const pinned = (...images: string[]) =>
    spawnSync('sh', [`${process.cwd()}/extension-service/scripts/pinned.sh`, ...images], { encoding: 'utf8' });

  it.each([
    [`debian@${DIGEST}`, 0],
    ['localhost/debian', 0],
    ['debian:trixie-slim', 1],
    ['', 1],
    [`debian@${DIGEST.slice(0, -1)}`, 1],
    [`debian@${DIGEST.slice(0, -1)}g`, 1],
  ])('allow the build of the Dockerfile: %j: exit code %i', (image, code) => {
    expect(pinned(`debian@${DIGEST}`, image).status).toBe(code);
  });

  it('have no default in the Dockerfile, which checks both', () => {
    const dockerfile = read('extension-service/Dockerfile');
    expect(dockerfile.match(/^ARG (?:BASE|NODE)=/gm)).toBeNull();
    expect(dockerfile).toContain('RUN sh /pinned.sh "${BASE}" "${NODE}" && sh /rootfs.sh');
    expect([...dockerfile.matchAll(/^FROM .*?(\S+) AS /gm)].map(([, image]) => image)).toEqual(['${NODE}', '${BASE}']);
  });
});

describe('npm run image', () => {
  it('names the tools to install, without a stack trace', () => {
    const { scripts } = JSON.parse(read('extension-service/package.json')) as { scripts: Record<string, string> };
    const [first = ''] = scripts['image']?.split(' && ') ?? [];
    const [, script = ''] = first.split(' ');
    const { status, stderr } = spawnSync(process.execPath, [`extension-service/${script}`], {
      env: { PATH: '/nowhere' },
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([
      1,
      'the image cannot be built: buildah, mmdebstrap, git, tar must be on the PATH; on Debian or Ubuntu: ' +
        'apt-get install buildah mmdebstrap git tar\n',
    ]);
  });
});

describe('install scripts', () => {
  it('are off', () => {
    expect(execFileSync('npm', ['config', 'get', 'ignore-scripts'], { encoding: 'utf8' }).trim()).toBe('true');
  });

  it('belong only to packages that work without them', () => {
    const { packages } = JSON.parse(read('package-lock.json')) as {
      readonly packages: Readonly<Record<string, { readonly hasInstallScript?: boolean; readonly optional?: boolean }>>;
    };
    const found = Object.entries(packages).filter(([, { hasInstallScript }]) => hasInstallScript === true);
    const names = found.map(([path]) => path.replace(/^.*node_modules\//, ''));
    expect([...new Set(names)].sort()).toEqual(['esbuild', 'msgpackr-extract', 'protobufjs']);
  });
});
