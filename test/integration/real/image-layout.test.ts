import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { pushImage } from '../../bench/push-image.js';
import { buildImage } from '../../fakes/images.js';
import { RealRegistry } from '../../fakes/real-registry.js';
import { BUNDLE } from '../../fakes/service.js';
import { craneProgram } from '../../tools/crane.js';
import { debianTool } from '../../tools/debian.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { compileCacheFlags } from '../../setup/compile-cache.js';

const run = promisify(execFile);
const available = await goToolsAvailable('image layouts of crane and for crane');
const skopeo = debianTool('skopeo');

describe.runIf(available)('OCI image layouts', () => {
  const image = buildImage({ seed: 21 });
  let crane: string;
  let folder: string;
  let source: RealRegistry;
  let target: RealRegistry;

  beforeAll(async () => {
    crane = await craneProgram();
    folder = await mkdtemp(join(tmpdir(), 'image-swapper-layout-'));
    [source, target] = await Promise.all([RealRegistry.start(), RealRegistry.start()]);
    await pushImage(source.host, 'app', image, '1.0');
    const config = {
      target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true } },
      source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
    };
    await writeFile(join(folder, 'image-swapper.yaml'), stringify(config));
  }, 900_000);
  afterAll(async () => {
    await Promise.all([source.stop(), target.stop()]);
    await rm(folder, { recursive: true, force: true });
  });

  const mirror = (...args: readonly string[]): Promise<unknown> =>
    run(process.execPath, [...compileCacheFlags(), BUNDLE, 'mirror', ...args], { cwd: folder });

  /** Pulls with crane, which checks every digest. */
  const pulls = (reference: string): Promise<unknown> =>
    run(crane, [
      'pull',
      '--format',
      'oci',
      reference,
      join(folder, `pulled-${reference.replace(/\W/g, '-')}`),
      '--insecure',
    ]);

  it('that mirror writes are pushed by crane, which checks every digest', async () => {
    await mirror(`${source.host}/app:1.0`, '--to-layout', 'ours');
    await run(crane, ['push', join(folder, 'ours'), `${target.host}/pushed:1`, '--insecure']);
    await pulls(`${target.host}/pushed:1`);
    const { stdout } = await run(crane, ['digest', `${target.host}/pushed:1`, '--insecure']);
    expect(stdout.trim()).toBe(image.digest);
  });

  describe.runIf(skopeo !== undefined)('and skopeo', () => {
    const program = skopeo ?? '';

    it('that mirror writes are copied by skopeo under the name of the source, digest for digest', async () => {
      await mirror(`${source.host}/app:1.0`, '--to-layout', 'for-skopeo');
      const layout = `oci:${join(folder, 'for-skopeo')}:${source.host}/app:1.0`;
      const copied = `docker://${target.host}/by-skopeo:1`;
      await run(program, ['copy', '--all', '--preserve-digests', '--dest-tls-verify=false', layout, copied]);
      await pulls(`${target.host}/by-skopeo:1`);
      const { stdout } = await run(crane, ['digest', `${target.host}/by-skopeo:1`, '--insecure']);
      expect(stdout.trim()).toBe(image.digest);
    });

    it('that skopeo writes under full references are mirrored', async () => {
      await pushImage(source.host, 'from-skopeo', image, '2.0');
      const from = `${source.host}/from-skopeo:2.0`;
      const layout = join(folder, 'skopeos');
      const args = ['copy', '--all', '--preserve-digests', '--src-tls-verify=false', `docker://${from}`];
      await run(program, [...args, `oci:${layout}:${from}`]);
      await mirror('--from-layout', layout);
      const copy = `${target.host}/mirror/${source.host.replace(':', '_')}/from-skopeo:2.0`;
      await pulls(copy);
      expect((await run(crane, ['digest', copy, '--insecure'])).stdout.trim()).toBe(image.digest);
    });

    it('that skopeo writes under only a tag are refused with the required name', async () => {
      const layout = join(folder, 'short');
      const from = `docker://${source.host}/app:1.0`;
      await run(program, ['copy', '--all', '--src-tls-verify=false', from, `oci:${layout}:1.0`]);
      const failure = await mirror('--from-layout', layout).catch((error: unknown) => error);
      expect(failure).toMatchObject({
        code: 1,
        stdout: expect.stringMatching(
          /^failed +1\.0 .*is not a whole reference: name it HOST\/REPOSITORY:TAG/,
        ) as string,
      });
    });
  });

  it('that crane writes are mirrored while their source is down', async () => {
    const layout = join(folder, 'cranes');
    await run(crane, ['pull', '--format', 'oci', '--annotate-ref', `${source.host}/app:1.0`, layout, '--insecure']);
    const { host } = source;
    await source.stop();
    await mirror('--from-layout', layout);
    const copy = `${target.host}/mirror/${host.replace(':', '_')}/app:1.0`;
    await pulls(copy);
    expect((await run(crane, ['digest', copy, '--insecure'])).stdout.trim()).toBe(image.digest);
  });
});
