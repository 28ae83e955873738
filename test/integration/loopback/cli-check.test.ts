import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { freePort } from '../../fakes/free-port.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { ProgramResult } from '../../fakes/program.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { useCli } from './cli.js';

const cli = useCli();

describe('check', () => {
  it('reports every mistake at once with its place, and exits 2', async () => {
    const file = join(cli.folder, 'broken.yaml');
    await writeFile(
      file,
      'imageSwapPolicy: sometimes\ntarget:\n  type: oci\n  oci:\n    registry: "https://r.test"\nsource:\n  filters:\n    - jmespath: "obj..x"\ntypo: 1\n',
    );
    const { code, stderr, stdout } = await cli.spawned(['check', '--config', file]);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    const lines = stderr.trim().split('\n');
    expect(lines.map((line) => line.split(': ')[1])).toEqual([
      'imageSwapPolicy',
      'target.oci.registry',
      'source.filters[0].jmespath',
      'typo',
    ]);
    for (const line of lines) expect(line).toMatch(/^.*broken\.yaml:\d+:\d+: /);
  });

  it('reports all problems of decisions together, each with its location, like serve', async () => {
    const rules = Array.from({ length: 51 }, (_, n) => ({ rulePriority: n + 1 }));
    const lines: readonly (readonly [string, string?])[] = [
      ['imageCopyDeadline: soon', 'imageCopyDeadline: "soon" is not a valid duration'],
      ['source:'],
      ['  filters:'],
      ['    - jmespath: "obj..x"', "source.filters[0].jmespath: unexpected '.'"],
      ['    - jmespath: "nope(container.image)"', 'source.filters[1].jmespath: there is no function nope()'],
      ['targets:'],
      ['  - name: eu'],
      ['    match: "contains(obj)"', 'targets[0].match: contains() takes 2 arguments, not 1'],
      ['    aws:'],
      ['      accountId: "12345678901x"', 'targets[0].aws.accountId: "12345678901x" is not a valid AWS account'],
      ['      region: mars', 'targets[0].aws.region: "mars" is not a valid AWS region'],
      ['      ecrOptions:'],
      ['        accessPolicy: "{nothing"', 'targets[0].aws.ecrOptions.accessPolicy: not valid JSON'],
      [
        `        lifecyclePolicy: '${JSON.stringify({ rules })}'`,
        'targets[0].aws.ecrOptions.lifecyclePolicy: this lifecycle policy has 51 rules, ECR allows 50',
      ],
      ['    platforms: [linux/amd65]', 'targets[0].platforms[0]: platform "linux/amd65": unknown architecture'],
      ['  - name: outer'],
      ['    match: container.stdin'],
      ['    oci: {registry: harbor.example.com}'],
      // One whole target is inside another target.
      ['  - name: eu', 'targets[2]: target eu is inside target outer'],
      ['    oci: {registry: harbor.example.com, prefix: docker.io}'],
    ];
    const file = join(cli.folder, 'wrong.yaml');
    await writeFile(file, `${lines.map(([text]) => text).join('\n')}\n`);
    const expected = lines.flatMap(([, problem], index) => (problem === undefined ? [] : [`${index + 1} ${problem}`]));
    expected.push('19 targets[2].name: "eu" is already the name of targets[0]');
    for (const command of ['check', 'serve']) {
      const { code, stdout, stderr } = await cli.swapper([command, '--config', file]);
      expect(code).toBe(2);
      expect(stdout).toBe('');
      const told = stderr.trimEnd().split('\n');
      expect(told).toHaveLength(expected.length);
      told.forEach((line, index) => {
        const [, number, problem] = /^.*wrong\.yaml:(\d+):\d+: (.*)$/.exec(line) ?? [];
        expect(`${number} ${problem}`.startsWith(expected[index] ?? ' '), line).toBe(true);
      });
    }
  });

  it('online, reports each missing permission with its registry, and exits 1', async () => {
    const locked = await FakeRegistry.start({
      auth: { type: 'basic', users: { u: 'right-word' } },
      anonymousPull: true,
    });
    try {
      const oci = { registry: locked.host, insecure: true, credentials: { username: 'u', password: 'wrong-word' } };
      const ended = await cli.spawned([
        'check',
        '--online',
        '--config',
        await cli.config({ target: { type: 'oci', oci } }),
      ]);
      expect(ended.code).toBe(1);
      expect(ended.stdout).toMatch(/REFUSED {2}target default .*(read|push).*the configured credentials are wrong/);
      expect(ended.stdout + ended.stderr).not.toContain('wrong-word');
    } finally {
      await locked.close();
    }
  });

  it('online, distinguishes an unreachable registry from a refusing one, with advice for its kind', async () => {
    const host = `127.0.0.1:${await freePort()}`;
    const target = { type: 'oci', oci: { registry: host, insecure: true } };
    const ended = await cli.swapper(['check', '--online', '--config', await cli.config({ target })]);
    expect(ended.code).toBe(1);
    expect(ended.stdout).toMatch(/UNREACHABLE {2}target default .*check host, port, insecure and caFile/);
    expect(ended.stdout).not.toContain('MISSING');
  });

  it('reads the configuration in Helm values, with the lines of that file', async () => {
    const oci = { registry: 'r.example.com' };
    const file = join(cli.folder, 'values.yaml');
    await writeFile(file, stringify({ replicaCount: 2, config: { dryRun: true, target: { type: 'oci', oci } } }));
    const good = await cli.swapper(['check', file]);
    expect(good).toMatchObject({ code: 0, stderr: '' });
    expect(good.stdout).toContain('the configuration is valid');
    expect(good.stdout).toContain('warning: dryRun is on: nothing is swapped or copied');
    await writeFile(file, 'replicaCount: 2\nconfig:\n  target: {type: oci, oci: {registry: "https://r.test"}}\n');
    const bad = await cli.swapper(['check', file]);
    expect(bad.code).toBe(2);
    expect(bad.stderr).toMatch(/values\.yaml:3:\d+: target\.oci\.registry: /);
    expect(await cli.swapper(['check', file, '--config', file])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('name only one file') as string,
    });
  });

  it('online, checks whether gc may delete, and deletes nothing', async () => {
    const image = buildImage({ seed: 1 });
    loadImage(cli.target, 'mirror/docker.io/library/app', image, '1');
    const gc = { clusters: ['east'] };
    const check = async (): Promise<ProgramResult> =>
      cli.swapper(['check', '--online', '--config', await cli.config({ gc })]);
    const allowed = await check();
    expect(allowed).toMatchObject({ code: 0 });
    expect(allowed.stdout).toMatch(/ok {2}target default .*delete {2}may list tags and delete images/);
    const deletions = cli.target.requests(({ method, path }) => method === 'DELETE' && path.includes('/manifests/'));
    expect(deletions).toEqual([`DELETE /v2/mirror/image-swapper-check/manifests/sha256:${'0'.repeat(64)}`]);
    expect(cli.target.tags('mirror/docker.io/library/app')).toEqual(['1']);
    for (const [method, path, status, line] of [
      [
        'DELETE',
        'manifests',
        405,
        /FAILED {2}target default .*delete .*; the registry does not allow deletion, or it is/,
      ],
      ['DELETE', 'manifests', 403, /REFUSED {2}target default .*delete .*; allow the account to delete there/],
      ['GET', 'tags/list', 403, /REFUSED {2}target default .*delete .*; allow the account to delete there/],
    ] as const) {
      cli.target.clearFaults();
      cli.target.fault({ method, path: new RegExp(path), action: { type: 'status', status } });
      const refused = await check();
      expect(refused.code).toBe(1);
      expect(refused.stdout).toMatch(line);
      expect(refused.stdout).toMatch(/ok +target default .*push +may push/);
    }
  });

  it('online, succeeds with usable registries and leaves nothing in them', async () => {
    const ended = await cli.spawned(['check', '--online', '--config', await cli.config()]);
    expect(ended).toMatchObject({ code: 0 });
    expect(ended.stdout).toMatch(/ok {2}target default .*push +may push/);
    expect(cli.target.openUploads).toBe(0);
    expect(cli.target.accessLog.map(({ method }) => method)).toContain('POST');
  });

  it('online, checks each path, and attempts no push where nothing is copied', async () => {
    const target = {
      oci: { registry: cli.target.host, insecure: true },
      paths: { 'docker.io': 'hub', 'quay.io': 'q' },
    };
    const before = cli.target.accessLog.length;
    const ended = await cli.swapper([
      ...['check', '--online', '--config', await cli.config({ target, imageCopyPolicy: 'none' })],
    ]);
    expect(ended).toMatchObject({ code: 0 });
    for (const path of ['hub', 'q']) {
      expect(ended.stdout).toMatch(new RegExp(`ok {2}target default \\(${cli.target.host}/${path}\\) +read`));
    }
    expect(ended.stdout).not.toContain('push');
    const asked = cli.target.accessLog.slice(before);
    expect(new Set(asked.map(({ path }) => path))).toEqual(
      new Set(['hub', 'q'].map((path) => `/v2/${path}/image-swapper-check/manifests/latest`)),
    );
    expect(asked.filter(({ method }) => !['HEAD', 'GET'].includes(method))).toEqual([]);
  });

  it('prints the current configuration with origins and hides passwords', async () => {
    const oci = { registry: cli.target.host, insecure: true, credentials: { username: 'u', password: 'a-pass-word' } };
    const file = await cli.config({ target: { type: 'oci', oci }, imageCopyPolicy: 'none' });
    const env = { IMAGE_SWAPPER_IMAGE_COPY_POLICY: 'immediate', IMAGE_SWAPPER_LOG_LEVEL: 'warn' };
    const { stdout, code } = await cli.swapper(['check', '--print', '--log-level', 'debug', '--config', file], '', env);
    expect(code).toBe(0);
    expect(stdout).toMatch(/logLevel: debug +# flag/);
    expect(stdout).toMatch(/imageCopyPolicy: immediate +# environment IMAGE_SWAPPER_IMAGE_COPY_POLICY/);
    expect(stdout).toMatch(/imageSwapPolicy: exists +# default/);
    expect(stdout).toMatch(/registry: .* +# .*image-swapper\.yaml:\d+/);
    expect(stdout).not.toContain('a-pass-word');
  });

  it('accepts any key as a flag, which overrides the environment and the file', async () => {
    const env = { IMAGE_SWAPPER_TARGET_OCI_PREFIX: 'from-environment', IMAGE_SWAPPER_SOURCE_DENY: 'a.test' };
    const flags = ['--set', 'target.oci.prefix=from-flag', '--set', 'source.allow=b.test,10.0.0.0/8'];
    const { stdout, code } = await cli.swapper(['check', '--print', ...flags, '--config', await cli.config()], '', env);
    expect(code).toBe(0);
    expect(stdout).toMatch(/prefix: from-flag +# flag/);
    expect(stdout).toMatch(/allow:\n +- b\.test +# flag\n +- 10\.0\.0\.0\/8 +# flag/);
    expect(stdout).toMatch(/deny:\n +- a\.test +# environment IMAGE_SWAPPER_SOURCE_DENY/);
    for (const [flag, message] of [
      ['target', '--set "target": expected KEY=VALUE'],
      ['imageCopyDeadline=soon', 'flag --set imageCopyDeadline: imageCopyDeadline: '],
      ['nonsense=1', 'flag --set nonsense: no configuration key has this flag'],
    ] as const) {
      const refused = await cli.swapper(['check', '--set', flag, '--config', await cli.config()]);
      expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining(message) as unknown });
    }
  });
});
