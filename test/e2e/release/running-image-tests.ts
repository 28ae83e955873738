import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../fakes/free-port.js';
import { ImageRoot } from '../image-root.js';
import { root, version } from './made-release.js';
import type { MadeRelease } from './made-release.js';
import type { PushedImage } from './pushed-image.js';

export function describeRunning(made: MadeRelease, pushed: () => PushedImage): void {
  describe('run on a read-only root as its user', () => {
    let unpacked: ImageRoot;
    let env: Record<string, string>;
    beforeAll(() => {
      const tar = join(made.folder, 'amd64.tar');
      if (!existsSync(tar)) pushed().ask('export', '--platform', 'linux/amd64', pushed().reference, tar);
      unpacked = ImageRoot.unpack(tar, join(made.folder, 'amd64-root'), pushed().config('linux/amd64'));
      env = {
        IMAGE_SWAPPER_TARGET_TYPE: 'oci',
        IMAGE_SWAPPER_TARGET_OCI_REGISTRY: pushed().registry.host,
        IMAGE_SWAPPER_TARGET_OCI_INSECURE: 'true',
      };
    });

    it('runs as that user, on that root, with public CA certificates', () => {
      const seen: unknown = JSON.parse(
        unpacked.node(`
        const { existsSync, readFileSync, writeFileSync } = require('node:fs');
        const attempt = (action) => { try { action(); return 'ok'; } catch ({ code }) { return code; } };
        console.log(JSON.stringify({
          user: [process.getuid(), process.getgid(), process.getgroups()],
          write: attempt(() => writeFileSync('/tmp/x', '')),
          shell: attempt(() => { throw require('node:child_process').spawnSync('sh', ['-c', 'true']).error; }),
          authorities: require('node:tls').createSecureContext({ ca: readFileSync('/etc/ssl/certs/ca-certificates.crt') })
            && readFileSync('/etc/ssl/certs/ca-certificates.crt', 'utf8').split('BEGIN CERTIFICATE').length > 100,
          name: require('node:os').userInfo().username,
          version: process.version,
        }))`),
      );
      const { config } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
        config: { secondNode: string };
      };
      expect(seen).toEqual({
        user: [65532, 65532, [65532]],
        write: 'EROFS',
        shell: 'ENOENT',
        authorities: true,
        name: 'nonroot',
        // The image has the Node version that CI tests.
        version: `v${config.secondNode}`,
      });
    });

    it('prints its version', () => {
      expect(unpacked.run(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
    });

    it('checks a registry by a push', async () => {
      const { status, stdout, stderr } = unpacked.run(['check', '--online'], env);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toMatch(new RegExp(`^ok +.*${pushed().registry.host}`, 'm'));
      await expect
        .poll(() =>
          pushed()
            .registry.accessLog()
            .map(({ method }) => method),
        )
        .toContain('POST');
    });

    it('serves, and ends at SIGTERM', async () => {
      const [metrics, admission] = [await freePort(), await freePort()];
      const addresses = ['--metrics-address', `127.0.0.1:${metrics}`, '--listen-address', `127.0.0.1:${admission}`];
      const child = unpacked.start(['serve', ...addresses], env);
      try {
        expect(await until(child, `http://127.0.0.1:${metrics}/healthz`)).toBe(200);
        const pod = { image: 'nginx:1.27', namespace: 'default' };
        const answer = await fetch(`http://127.0.0.1:${admission}/v1/explain`, {
          method: 'POST',
          body: JSON.stringify(pod),
        });
        expect(await answer.text()).toContain(`${pushed().registry.host}/docker.io/library/nginx:1.27`);
      } finally {
        child.kill('SIGTERM');
      }
      expect(await once(child, 'exit')).toEqual([0, null]);
    });
  });
}

/** Returns the status of the URL once it responds. @throws Error when the process ends first */
async function until(child: ChildProcess, url: string): Promise<number> {
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  for (let i = 0; i < 200; i += 1) {
    if (child.exitCode !== null) throw new Error(`the service ended with ${child.exitCode}: ${output}`);
    const status = await fetch(url).then(
      (answer) => answer.status,
      () => undefined,
    );
    if (status !== undefined) return status;
    await sleep(50);
  }
  throw new Error(`the service does not answer: ${output}`);
}
