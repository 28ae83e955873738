import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { gatekeeperChartValues } from '../../../extension-service/src/core/engines/gatekeeper/chart-values.js';
import { kyvernoChartValues } from '../../../extension-service/src/core/engines/kyverno/chart-values.js';
import { useCli } from './cli.js';

const cli = useCli();

describe('policies', () => {
  it.each([
    ['kyverno', [], ['MutatingPolicy']],
    ['kyverno-clusterpolicy', ['--ca-file', 'ca.pem'], ['ClusterPolicy']],
    ['gatekeeper', ['--ca-file', 'ca.pem'], ['Provider', 'Assign', 'Assign', 'Assign']],
    ['webhook', ['--ca-file', 'ca.pem'], ['MutatingWebhookConfiguration']],
  ])('prints the objects of %s', async (engine, flags, kinds) => {
    await writeFile(join(cli.folder, 'ca.pem'), cli.certificates.ca);
    const { code, stdout } = await cli.swapper([
      'policies',
      '--engine',
      engine,
      ...flags,
      '--config',
      await cli.config(),
    ]);
    expect(code).toBe(0);
    expect(parseAllDocuments(stdout).map((document) => (document.toJS() as { kind: string }).kind)).toEqual(kinds);
    if (engine.startsWith('kyverno')) expect(stdout).toContain(`${cli.target.host}/mirror/`);
  });

  it('names file and line of what the API server cannot decide, where the file is for another engine', async () => {
    const file = join(cli.folder, 'undecidable.yaml');
    const refused = async (...lines: readonly string[]): Promise<string> => {
      await writeFile(file, ['imageSwapPolicy: always', 'policies: {engine: webhook}', ...lines, ''].join('\n'));
      const ended = await cli.swapper(['policies', '--engine', 'mutatingadmissionpolicy', '--config', file]);
      expect(ended).toMatchObject({ code: 2, stdout: '' });
      return ended.stderr;
    };
    const target = 'target: {type: oci, oci: {registry: mirror.test}}';
    expect(await refused(target, 'source:', '  filters:', '    - jmespath: obj.spec.hostNetwork')).toContain(
      `${file}:6: source.filters[0]: the API server cannot decide "obj.spec.hostNetwork"`,
    );
    const selective = '  - {name: one, type: oci, match: obj.spec.hostNetwork, oci: {registry: one.test}}';
    expect(await refused(target, 'targets:', selective)).toContain(
      `${file}:5: targets[0].match: the API server cannot decide "obj.spec.hostNetwork"`,
    );
  });

  it('uses URL and failClosed of the configuration unless flags override them', async () => {
    const url = 'https://swap.tools.svc:8443';
    const file = await cli.config({
      policies: { engine: 'none', url, failClosed: true, excludedNamespaces: ['left'] },
    });
    const webhook = async (flags: readonly string[], run = cli.swapper.bind(cli)): Promise<string> => {
      const ended = await run(['policies', '--engine', 'webhook', ...flags, '--config', file], cli.certificates.ca);
      expect(ended.code).toBe(0);
      return ended.stdout;
    };
    const plain = await webhook([]);
    expect(plain).toContain('name: swap\n');
    expect(plain).toContain('namespace: tools\n');
    expect(plain).toContain('failurePolicy: Fail\n');
    expect(plain).toMatch(/- tools\n +- left\n/);
    expect(await webhook(['--url', 'https://other.tools.svc'])).toContain('name: other\n');
    expect(await webhook(['--set', 'policies.failClosed=false'])).toContain('failurePolicy: Ignore\n');
    const authority = `caBundle: ${Buffer.from(cli.certificates.ca).toString('base64')}`;
    expect(await webhook(['--ca-file', '-'], cli.spawned.bind(cli))).toContain(authority);
    const values = await cli.swapper(['policies', '--engine', 'gatekeeper', '--engine-values', '--config', file]);
    expect(values.stdout).toContain('- tools\n');

    const plainHttp = await cli.config({ policies: { url: 'http://swap.tools.svc:8081' } });
    const refused = await cli.spawned(['policies', '--engine', 'webhook', '--config', plainHttp]);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain('policies.url (or --url): kube-apiserver calls https:// addresses only');
  });

  it('prints the values that the chart of the engine needs', async () => {
    const file = await cli.config();
    await writeFile(join(cli.folder, 'ca.pem'), cli.certificates.ca);
    const values = async (...flags: string[]): Promise<unknown> => {
      const { code, stdout } = await cli.swapper(['policies', '--engine-values', ...flags, '--config', file]);
      expect(code).toBe(0);
      return parseAllDocuments(stdout)[0]?.toJS() as unknown;
    };
    expect(await values('--engine', 'gatekeeper', '--url', 'https://a.swapper.svc:8443')).toEqual(
      gatekeeperChartValues({ serviceNamespace: 'swapper' }),
    );
    expect(await values('--engine', 'kyverno', '--ca-file', 'ca.pem')).toEqual(
      kyvernoChartValues(cli.certificates.ca, rootCertificates.join('\n')),
    );
    for (const engine of ['kyverno', 'kyverno-clusterpolicy', 'webhook']) {
      expect(await values('--engine', engine)).toEqual({});
    }
  });

  it.each([
    [['--engine', 'gatekeeper'], '--ca-file'],
    [['--engine', 'kyverno', '--ca-file', 'ca.pem'], '--engine-values'],
    [['--engine', 'kyverno', '--ca-file', 'leaf.key', '--engine-values'], '--ca-file: contains'],
    [['--engine', 'webhook', '--ca-file', 'none.crt'], '--ca-file none.crt: the file does not exist'],
    [['--engine', 'webhook', '--ca-file', '.'], '--ca-file .: this is a directory'],
    [['--engine', 'gatekeeper', '--url', 'nonsense', '--engine-values'], '--url'],
    [['--engine', 'webhook', '--url', 'http://x'], '--url'],
    [['--engine', 'nomad'], 'nomad'],
    [['--engine', 'webhook', '--ca-config-map', 'a/b'], '--ca-config-map cannot be used with webhook'],
    [['--engine', 'kyverno-clusterpolicy', '--ca-config-map', 'b'], '--ca-config-map "b": expected NAMESPACE/NAME'],
    [['--engine', 'kyverno-clusterpolicy', '--ca-config-map', 'A/b'], '--ca-config-map: "A" must be'],
    [
      ['--engine', 'kyverno-clusterpolicy', '--ca-config-map', 'a/b', '--ca-file', 'ca.pem'],
      '--ca-config-map: cannot be combined with --ca-file',
    ],
    [
      ['--engine', 'gatekeeper', '--ca-file', 'ca.pem', '--set', "target.match=container.name == 'a'"],
      'target.match: reads more than container.image',
    ],
    [[], '--engine'],
    [['--delete-managed', '--engine', 'kyverno'], '--delete-managed cannot be combined with --engine'],
    [['--engine', 'kyverno', '--namespace', 'tools'], '--namespace requires --delete-managed'],
  ])('refuses %j and names it', async (flags, word) => {
    await writeFile(join(cli.folder, 'ca.pem'), cli.certificates.ca);
    await writeFile(join(cli.folder, 'leaf.key'), cli.certificates.key);
    const ended = await cli.swapper(['policies', ...flags, '--config', await cli.config()]);
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toContain(word);
  });

  it('prints a webhook for what the API server cannot decide, with policies.undecidable', async () => {
    const filter = 'source.filters=[{jmespath: obj.spec.hostNetwork}]';
    const flags = [
      'policies',
      '--engine',
      'mutatingadmissionpolicy',
      '--set',
      'imageSwapPolicy=always',
      '--set',
      filter,
    ];
    await writeFile(join(cli.folder, 'ca.pem'), cli.certificates.ca);
    const refused = await cli.swapper([...flags, '--config', await cli.config()]);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain('the API server cannot decide "obj.spec.hostNetwork"');
    const choice = ['--set', 'policies={engine: mutatingadmissionpolicy, undecidable: webhook}', '--ca-file', 'ca.pem'];
    const { code, stdout } = await cli.swapper([...flags, ...choice, '--config', await cli.config()]);
    expect(code).toBe(0);
    const [, , webhook] = parseAllDocuments(stdout).map((one) => one.toJS() as Record<string, unknown>);
    expect(webhook).toMatchObject({
      kind: 'MutatingWebhookConfiguration',
      webhooks: [{ clientConfig: { caBundle: Buffer.from(cli.certificates.ca).toString('base64') } }],
    });
    const bare = await cli.swapper([...flags, ...choice.slice(0, 2), '--config', await cli.config()]);
    expect(bare.stderr).toContain("Unless the API server's trust store has your CA, every call fails");
  });

  it.each(['kyverno', 'gatekeeper'])('prints the values of %s without any configuration', async (engine) => {
    const env = { HOME: '/nonexistent' };
    const args = ['policies', '--engine', engine, '--engine-values'];
    const values = ['--set', 'logLevel=info'];
    await rm(join(cli.folder, 'image-swapper.yaml'), { force: true });
    expect(await cli.swapper(args, '', env)).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(/./) as string,
    });
    expect((await cli.swapper([...args, ...values], '', env)).code).toBe(0);
    const missing = await cli.swapper(['policies', '--engine', engine], '', env);
    expect(missing.code).toBe(2);
    expect(missing.stderr).toMatch(/^\(no file\): no configuration file was found: .*; name one with --config\n/);
  });

  it.each<[string, readonly string[], readonly RegExp[]]>([
    ['that nobody guards plain HTTP', ['--engine', 'kyverno'], [/plain HTTP: the policy comes with no NetworkPolicy/]],
    [
      'of a CA that Kyverno does not trust',
      ['--engine', 'kyverno-clusterpolicy'],
      [/is a Service, .* Set --ca-config-map \(image-swapper\/image-swapper-ca .*, or --ca-file\.$/],
    ],
    ['of a CA that the API server does not trust', ['--engine', 'webhook'], [/is a Service, .* Set --ca-file \(/]],
    ['of nothing under a public name', ['--engine', 'webhook', '--url', 'https://a.example.com'], []],
    ['of nothing where it is all there', ['--engine', 'kyverno-clusterpolicy', '--ca-config-map', 'a/b'], []],
    ['of failing closed', ['--engine', 'webhook', '--ca-file', 'ca.pem', '--fail-closed'], [/failClosed: .*no Pod/]],
    [
      'of copies that nobody waits for',
      ['--engine', 'gatekeeper', '--ca-file', 'ca.pem', '--set', 'imageCopyPolicy=immediate'],
      [/^warning: imageCopyPolicy: immediate does not wait for copies with gatekeeper/],
    ],
    [
      'of none of those under another engine',
      ['--engine', 'webhook', '--ca-file', 'ca.pem', '--set', 'imageCopyPolicy=immediate'],
      [],
    ],
  ])('warns %s in addition to its output', async (_what, flags, expected) => {
    await writeFile(join(cli.folder, 'ca.pem'), cli.certificates.ca);
    const { code, stdout, stderr } = await cli.swapper(['policies', ...flags, '--config', await cli.config()]);
    expect(code).toBe(0);
    expect(stdout).toContain('kind: ');
    const lines = stderr.split('\n').filter((line) => line !== '');
    expect(lines).toHaveLength(expected.length);
    for (const [index, pattern] of expected.entries()) expect(lines[index]).toMatch(pattern);
  });

  it('makes kyverno-clusterpolicy read the CA certificate from a ConfigMap', async () => {
    const config = await cli.config();
    const contexts = async (name: string): Promise<string> => {
      const flags = ['policies', '--engine', 'kyverno-clusterpolicy', '--ca-config-map', name, '--config', config];
      const { code, stdout } = await cli.swapper(flags);
      expect(code).toBe(0);
      return stdout;
    };
    const usual = await contexts('mirrors/our-ca');
    expect(usual).toMatch(/configMap:\n +name: our-ca\n +namespace: mirrors\n/);
    expect(usual).toContain('{{ swapperCa.data."ca.crt" }}');
    expect(await contexts('mirrors/our-ca:root.pem')).toContain('root.pem');
  });

  it('are deleted only in a cluster', async () => {
    const ended = await cli.spawned(['policies', '--delete-managed', '--config', await cli.config()]);
    expect(ended).toMatchObject({
      code: 3,
      stdout: '',
      stderr: 'there is no cluster: run in a Pod, or set KUBECONFIG\n',
    });
  });
});
