import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { rootCertificates } from 'node:tls';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import {
  gatekeeperChartValues,
  kyvernoChartValues,
} from '../../../extension-service/src/core/policies/engine-values.js';
import { makeCertificates } from '../../fakes/certificates.js';
import type { Certificates } from '../../fakes/certificates.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { BUNDLE } from '../../fakes/service.js';

/** The built program as people run it: arguments in; exit code, stdout and stderr out. */

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

let folder: string;
let source: FakeRegistry;
let target: FakeRegistry;
let certificates: Certificates;
const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'] });

beforeAll(async () => {
  certificates = await makeCertificates({ hosts: ['127.0.0.1'] });
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-cli-'));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(async () => {
  source = await FakeRegistry.start();
  target = await FakeRegistry.start();
  loadImage(source, 'app', image, '1.0');
});
afterEach(async () => {
  await Promise.all([source.close(), target.close()]);
});

function swapper(args: readonly string[], input = '', env: Record<string, string> = {}): Promise<Ended> {
  const child = spawn(process.execPath, [BUNDLE, ...args], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', HOME: folder, ...env },
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.end(input);
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}

async function config(more: Record<string, unknown> = {}, name = 'image-swapper.yaml'): Promise<string> {
  const file = join(folder, name);
  const text = stringify({
    target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true } },
    source: {
      filters: [{ jmespath: "obj.metadata.namespace == 'kube-system'" }],
      registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }],
    },
    ...more,
  });
  await writeFile(file, text);
  return file;
}

const repository = (): string => `mirror/${source.host.replace(':', '_')}/app`;

describe('mirror', () => {
  it('copies, says so on stdout, and is up to date the second time', async () => {
    const args = ['mirror', '--config', await config(), '-o', 'json', `${source.host}/app:1.0`];
    const first = await swapper(args);
    expect(first).toMatchObject({ code: 0 });
    expect(JSON.parse(first.stdout)).toMatchObject({ images: [{ state: 'mirrored', digest: image.digest }] });
    expect(target.manifest(repository(), '1.0')?.digest).toBe(image.digest);
    expect(JSON.parse((await swapper(args)).stdout)).toMatchObject({ images: [{ state: 'up-to-date' }] });
  });

  it('reads a list from standard input, and in a dry run says what would be sent and sends nothing', async () => {
    const list = `# what we need\n${source.host}/app:1.0   # the app\n\n${source.host}/missing:1\n`;
    const args = ['mirror', '--config', await config(), '--dry-run', '--file', '-'];
    const ended = await swapper([...args, '-o', 'json'], list);
    expect(ended.code).toBe(1);
    const { images, targets } = JSON.parse(ended.stdout) as { images: unknown[]; targets: unknown[] };
    expect(images).toMatchObject([{ state: 'would-mirror', digest: image.digest }, { state: 'failed' }]);
    expect(targets).toMatchObject([{ target: 'default', images: 1 }]);
    expect(new Set(target.accessLog.map(({ method }) => method))).toEqual(new Set(['HEAD']));
    expect((await swapper(args, list)).stdout).toMatch(/would-mirror .*\d manifests, \d+ blobs, at most/);
  });

  it('copies two spellings of one image once', async () => {
    const ended = await swapper([
      'mirror',
      '--config',
      await config(),
      `${source.host}/app:1.0`,
      `${source.host}/app:1.0@${image.digest}`,
      `${source.host}/app@${image.digest}`,
      '-o',
      'json',
    ]);
    expect(ended.code).toBe(0);
    expect(JSON.parse(ended.stdout)).toMatchObject({ images: [{}, {}, {}] });
  });

  it('exits 1 and names what failed, and still copies the rest', async () => {
    const images = [`${source.host}/missing:1`, `${source.host}/app:1.0`, 'Not An Image'];
    const ended = await swapper(['mirror', '--config', await config(), ...images]);
    expect(ended.code).toBe(1);
    expect(ended.stdout).toMatch(/failed .*missing:1/);
    expect(ended.stdout).toMatch(/failed .*Not An Image/);
    expect(target.manifest(repository(), '1.0')?.digest).toBe(image.digest);
  });

  it('without an image is a usage error', async () => {
    expect(await swapper(['mirror', '--config', await config()])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('at least one image') as unknown,
    });
  });
});

describe('explain', () => {
  it('tells an image as a story', async () => {
    const { code, stdout } = await swapper(['explain', 'nginx', '--offline', '--config', await config()]);
    expect(code).toBe(0);
    expect(stdout).toBe(
      [
        'containers/container: nginx',
        '  is docker.io/library/nginx:latest in full.',
        "  Filter 1 is false: obj.metadata.namespace == 'kube-system'",
        '  Target default takes every image.',
        `  Its place in the target is ${target.host}/mirror/docker.io/library/nginx:latest.`,
        '  Whether the target has it is not known: not asked (--offline).',
        '  => It keeps its image for now (imageSwapPolicy exists, imageCopyPolicy delayed).',
        '',
      ].join('\n'),
    );
    expect(target.accessLog).toEqual([]);
  });

  it('shows the sub-expressions of the filter that decided, for a Pod from a file', async () => {
    const pod = join(folder, 'pod.yaml');
    await writeFile(
      pod,
      stringify({ kind: 'Pod', metadata: { name: 'x' }, spec: { containers: [{ name: 'a', image: 'nginx' }] } }),
    );
    const { stdout } = await swapper(['explain', '-f', pod, '-n', 'kube-system', '--config', await config()]);
    expect(stdout).toContain('Filter 1 is true: leaves it alone');
    expect(stdout).toContain('obj.metadata.namespace -> "kube-system"');
    const asked = await swapper(['explain', '-f', pod, '-o', 'json', '--config', await config()]);
    expect(JSON.parse(asked.stdout)).toMatchObject({
      namespace: 'default',
      containers: [{ name: 'a', action: 'mirror', swapped: false, existence: { state: 'absent' } }],
    });
  });

  it('exits 1 for an image that cannot be parsed, 2 without anything to explain', async () => {
    expect((await swapper(['explain', 'a b', '--config', await config()])).code).toBe(1);
    expect((await swapper(['explain', '--config', await config()])).code).toBe(2);
  });
});

describe('check', () => {
  it('reports every mistake at once with its place, and exits 2', async () => {
    const file = join(folder, 'broken.yaml');
    await writeFile(
      file,
      'imageSwapPolicy: sometimes\ntarget:\n  type: oci\n  oci:\n    registry: "https://r.test"\nsource:\n  filters:\n    - jmespath: "obj..x"\ntypo: 1\n',
    );
    const { code, stderr, stdout } = await swapper(['check', '--config', file]);
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

  it('reports all that can be wrong with decisions together, each where it stands, and so does serve', async () => {
    const rules = Array.from({ length: 51 }, (_, n) => ({ rulePriority: n + 1 }));
    const lines: readonly (readonly [string, string?])[] = [
      ['imageCopyDeadline: soon', 'imageCopyDeadline: "soon" is no duration'],
      ['source:'],
      ['  filters:'],
      ['    - jmespath: "obj..x"', "source.filters[0].jmespath: unexpected '.'"],
      ['    - jmespath: "nope(container.image)"', 'source.filters[1].jmespath: there is no function nope()'],
      ['targets:'],
      ['  - name: eu'],
      ['    match: "contains(obj)"', 'targets[0].match: contains() takes 2 arguments, not 1'],
      ['    aws:'],
      ['      accountId: "12345678901x"', 'targets[0].aws.accountId: "12345678901x" is no AWS account'],
      ['      region: mars', 'targets[0].aws.region: "mars" is no AWS region'],
      ['      ecrOptions:'],
      ['        accessPolicy: "{nothing"', 'targets[0].aws.ecrOptions.accessPolicy: this is no JSON'],
      [
        `        lifecyclePolicy: '${JSON.stringify({ rules })}'`,
        'targets[0].aws.ecrOptions.lifecyclePolicy: this lifecycle policy has 51 rules, ECR allows 50',
      ],
      ['    platforms: [linux/amd65]', 'targets[0].platforms[0]: platform "linux/amd65": unknown architecture'],
      ['  - name: outer'],
      ['    match: container.stdin'],
      ['    oci: {registry: harbor.example.com}'],
      // The whole target is what is inside of another.
      ['  - name: eu', 'targets[2]: target eu is inside target outer'],
      ['    oci: {registry: harbor.example.com, prefix: docker.io}'],
    ];
    const file = join(folder, 'wrong.yaml');
    await writeFile(file, `${lines.map(([text]) => text).join('\n')}\n`);
    const expected = lines.flatMap(([, problem], index) => (problem === undefined ? [] : [`${index + 1} ${problem}`]));
    expected.push('19 targets[2].name: "eu" is the name of targets[0] already');
    for (const command of ['check', 'serve']) {
      const { code, stdout, stderr } = await swapper([command, '--config', file]);
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

  it('online, tells what may not be done at which registry, and exits 1', async () => {
    const locked = await FakeRegistry.start({
      auth: { type: 'basic', users: { u: 'right-word' } },
      anonymousPull: true,
    });
    try {
      const oci = { registry: locked.host, insecure: true, credentials: { username: 'u', password: 'wrong-word' } };
      const ended = await swapper(['check', '--online', '--config', await config({ target: { type: 'oci', oci } })]);
      expect(ended.code).toBe(1);
      expect(ended.stdout).toMatch(/MISSING {2}target default .*(read|push)/);
      expect(ended.stdout + ended.stderr).not.toContain('wrong-word');
    } finally {
      await locked.close();
    }
  });

  it('online, is content with registries that can be used, and leaves nothing there', async () => {
    const ended = await swapper(['check', '--online', '--config', await config()]);
    expect(ended).toMatchObject({ code: 0 });
    expect(ended.stdout).toMatch(/ok {2}target default .*push {2}may push/);
    expect(target.openUploads).toBe(0);
    expect(target.accessLog.map(({ method }) => method)).toContain('POST');
  });

  it('prints the configuration in force with origins, and hides passwords', async () => {
    const oci = { registry: target.host, insecure: true, credentials: { username: 'u', password: 'a-pass-word' } };
    const file = await config({ target: { type: 'oci', oci }, imageCopyPolicy: 'none' });
    const env = { IMAGE_SWAPPER_IMAGE_COPY_POLICY: 'immediate', IMAGE_SWAPPER_LOG_LEVEL: 'warn' };
    const { stdout, code } = await swapper(['check', '--print', '--log-level', 'debug', '--config', file], '', env);
    expect(code).toBe(0);
    expect(stdout).toMatch(/logLevel: debug +# flag/);
    expect(stdout).toMatch(/imageCopyPolicy: immediate +# environment IMAGE_SWAPPER_IMAGE_COPY_POLICY/);
    expect(stdout).toMatch(/imageSwapPolicy: exists +# default/);
    expect(stdout).toMatch(/registry: .* +# .*image-swapper\.yaml:\d+/);
    expect(stdout).not.toContain('a-pass-word');
  });

  it('takes any key as a flag, which wins over the environment and the file', async () => {
    const env = { IMAGE_SWAPPER_TARGET_OCI_PREFIX: 'from-environment', IMAGE_SWAPPER_SOURCE_DENY: 'a.test' };
    const flags = ['--set', 'target.oci.prefix=from-flag', '--set', 'source.allow=b.test,10.0.0.0/8'];
    const { stdout, code } = await swapper(['check', '--print', ...flags, '--config', await config()], '', env);
    expect(code).toBe(0);
    expect(stdout).toMatch(/prefix: from-flag +# flag/);
    expect(stdout).toMatch(/allow:\n +- b\.test +# flag\n +- 10\.0\.0\.0\/8 +# flag/);
    expect(stdout).toMatch(/deny:\n +- a\.test +# environment IMAGE_SWAPPER_SOURCE_DENY/);
    for (const [flag, message] of [
      ['target', '--set "target": give KEY=VALUE'],
      ['imageCopyDeadline=soon', 'flag --set imageCopyDeadline:1:1: imageCopyDeadline: '],
      ['nonsense=1', 'flag --set nonsense:1:1: this flag belongs to no key'],
    ] as const) {
      const refused = await swapper(['check', '--set', flag, '--config', await config()]);
      expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining(message) as unknown });
    }
  });
});

describe('policies', () => {
  it.each([
    ['kyverno', [], ['MutatingPolicy']],
    ['kyverno-clusterpolicy', ['--ca-file', 'ca.pem'], ['ClusterPolicy']],
    ['gatekeeper', ['--ca-file', 'ca.pem'], ['Provider', 'Assign', 'Assign']],
    ['webhook', ['--ca-file', 'ca.pem'], ['MutatingWebhookConfiguration']],
  ])('prints the objects of %s', async (engine, flags, kinds) => {
    await writeFile(join(folder, 'ca.pem'), certificates.ca);
    const { code, stdout } = await swapper(['policies', '--engine', engine, ...flags, '--config', await config()]);
    expect(code).toBe(0);
    expect(parseAllDocuments(stdout).map((document) => (document.toJS() as { kind: string }).kind)).toEqual(kinds);
    if (engine.startsWith('kyverno')) expect(stdout).toContain(`${target.host}/mirror/`);
  });

  it('takes URL and failClosed of the configuration, unless flags say otherwise', async () => {
    const url = 'https://swap.tools.svc:8443';
    const file = await config({ policies: { engine: 'none', url, failClosed: true, excludedNamespaces: ['left'] } });
    const webhook = async (...flags: string[]): Promise<string> => {
      const ended = await swapper(['policies', '--engine', 'webhook', ...flags, '--config', file], certificates.ca);
      expect(ended).toMatchObject({ code: 0, stderr: '' });
      return ended.stdout;
    };
    const plain = await webhook();
    expect(plain).toContain('name: swap\n');
    expect(plain).toContain('namespace: tools\n');
    expect(plain).toContain('failurePolicy: Fail\n');
    expect(plain).toMatch(/- tools\n +- left\n/);
    expect(await webhook('--url', 'https://other.tools.svc')).toContain('name: other\n');
    expect(await webhook('--set', 'policies.failClosed=false')).toContain('failurePolicy: Ignore\n');
    const authority = `caBundle: ${Buffer.from(certificates.ca).toString('base64')}`;
    expect(await webhook('--ca-file', '-')).toContain(authority);
    const values = await swapper(['policies', '--engine', 'gatekeeper', '--engine-values', '--config', file]);
    expect(values.stdout).toContain('- tools\n');

    const plainHttp = await config({ policies: { url: 'http://swap.tools.svc:8081' } });
    const refused = await swapper(['policies', '--engine', 'webhook', '--config', plainHttp]);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain('policies.url (or --url): kube-apiserver calls https:// addresses only');
  });

  it('prints the values that the chart of the engine needs', async () => {
    const file = await config();
    await writeFile(join(folder, 'ca.pem'), certificates.ca);
    const values = async (...flags: string[]): Promise<unknown> => {
      const { code, stdout } = await swapper(['policies', '--engine-values', ...flags, '--config', file]);
      expect(code).toBe(0);
      return parseAllDocuments(stdout)[0]?.toJS() as unknown;
    };
    expect(await values('--engine', 'gatekeeper', '--url', 'https://a.swapper.svc:8443')).toEqual(
      gatekeeperChartValues({ serviceNamespace: 'swapper' }),
    );
    expect(await values('--engine', 'kyverno', '--ca-file', 'ca.pem')).toEqual(
      kyvernoChartValues(certificates.ca, rootCertificates.join('\n')),
    );
    for (const engine of ['kyverno', 'kyverno-clusterpolicy', 'webhook']) {
      expect(await values('--engine', engine)).toEqual({});
    }
  });

  it.each([
    [['--engine', 'gatekeeper'], '--ca-file'],
    [['--engine', 'kyverno', '--ca-file', 'ca.pem'], '--engine-values'],
    [['--engine', 'kyverno', '--ca-file', 'leaf.key', '--engine-values'], '--ca-file: holds'],
    [['--engine', 'webhook', '--ca-file', 'none.crt'], '--ca-file none.crt: there is no such file'],
    [['--engine', 'webhook', '--ca-file', '.'], '--ca-file .: this is a directory'],
    [['--engine', 'gatekeeper', '--url', 'nonsense', '--engine-values'], '--url'],
    [['--engine', 'webhook', '--url', 'http://x'], '--url'],
    [['--engine', 'nomad'], 'nomad'],
    [[], '--engine'],
    [['--delete-managed', '--engine', 'kyverno'], '--delete-managed takes no --engine'],
    [['--engine', 'kyverno', '--namespace', 'tools'], '--namespace goes with --delete-managed only'],
  ])('%j is refused with a word about it', async (flags, word) => {
    await writeFile(join(folder, 'ca.pem'), certificates.ca);
    await writeFile(join(folder, 'leaf.key'), certificates.key);
    const ended = await swapper(['policies', ...flags, '--config', await config()]);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain(word);
  });

  it('are deleted in a cluster only', async () => {
    const ended = await swapper(['policies', '--delete-managed', '--config', await config()]);
    expect(ended).toMatchObject({
      code: 3,
      stdout: '',
      stderr: 'there is no cluster: run in a Pod, or set KUBECONFIG\n',
    });
  });
});

describe('serve', () => {
  it('says which flag to change when a port is in use, and exits 3', async () => {
    const busy = createServer();
    await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
    const address = `127.0.0.1:${(busy.address() as AddressInfo).port}`;
    const ended = await swapper([
      'serve',
      '--config',
      await config(),
      '--listen-address',
      address,
      '--metrics-address',
      '127.0.0.1:0',
    ]);
    busy.close();
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain(`--listen-address ${address}: the port is in use`);
  });

  it('exits 2 for TLS files that cannot be used', async () => {
    const other = await makeCertificates({ hosts: ['127.0.0.1'] });
    await Promise.all([
      writeFile(join(folder, 'a.crt'), certificates.cert),
      writeFile(join(folder, 'b.key'), other.key),
    ]);
    const serve = async (...flags: string[]): Promise<Ended> =>
      swapper(['serve', '--config', await config(), ...flags]);
    expect(await serve('--tls-cert-file', 'a.crt')).toMatchObject({ code: 2 });
    const pair = await serve('--tls-cert-file', 'a.crt', '--tls-key-file', 'b.key');
    expect(pair).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is not the key of the certificate') as unknown,
    });
    expect(await serve('--tls-cert-file', 'none', '--tls-key-file', 'b.key')).toMatchObject({ code: 2 });
  });

  it('refuses what it cannot do yet, rather than ignoring a guard', async () => {
    const ended = await swapper([
      'serve',
      '--config',
      await config({ queue: { type: 'redis', url: 'redis://127.0.0.1' } }),
    ]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('queue.type: redis is not available yet');
  });

  const gatekeeper = (filter: string) => ({
    policies: { manage: true, engine: 'gatekeeper', caFile: 'ca.pem' },
    source: { filters: [{ jmespath: filter }] },
  });

  it.each<readonly [string, number, Record<string, unknown>, readonly string[], string]>([
    [
      'managed policies without a cluster',
      3,
      { policies: { manage: true } },
      [],
      'policies.manage is true, and there is no cluster',
    ],
    [
      'a certificate of its own without a cluster',
      3,
      { tls: { mode: 'selfSigned', dnsNames: ['a.svc'] } },
      [],
      'tls.mode is selfSigned, and there is no cluster: run in a Pod, or set KUBECONFIG',
    ],
    [
      'a certificate of its own beside one from files',
      2,
      { tls: { mode: 'selfSigned', dnsNames: ['a.svc'] } },
      ['--tls-cert-file', 'a.crt', '--tls-key-file', 'a.key'],
      'tls.mode is selfSigned: leave out --tls-cert-file',
    ],
    [
      'a filter that the managed policies cannot express',
      2,
      gatekeeper('obj.spec.hostNetwork'),
      [],
      'policies.manage is true, and source.filters[0]',
    ],
    [
      'an address that the engine cannot call',
      2,
      { policies: { manage: true, engine: 'webhook', url: 'http://a.svc:8081' } },
      [],
      'policies.manage is true, and policies.url: kube-apiserver calls https:// addresses only',
    ],
  ])('does not start with %s', async (_, code, more, flags, word) => {
    const ended = await swapper(['serve', '--config', await config(more), ...flags]);
    expect(ended.code).toBe(code);
    expect(ended.stderr).toContain(word);
  });

  it('and check says so before', async () => {
    const ended = await swapper(['check', '--config', await config(gatekeeper('obj.spec.hostNetwork'))]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('policies.manage is true, and source.filters[0]');
  });

  it('exits 2 without a configuration', async () => {
    expect(await swapper(['serve', '--config', 'nowhere.yaml'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('nowhere.yaml') as unknown,
    });
  });
});

describe('the program', () => {
  it.each([
    [['--help'], 0],
    [['serve', '--help'], 0],
    [['explian', 'x'], 2],
    [['check', '--onlien'], 2],
  ])('%j exits %i', async (args, code) => {
    const ended = await swapper(args);
    expect(ended.code).toBe(code);
    if (code !== 0) expect(ended.stderr).toMatch(/Did you mean/);
  });
});
