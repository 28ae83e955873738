import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeCertificates } from '../../fakes/certificates.js';
import type { ProgramResult } from '../../fakes/program.js';
import { useCli } from './cli.js';

const cli = useCli();

describe('serve', () => {
  it('names the flag to change when a port is in use, and exits 3', async () => {
    const busy = createServer();
    await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
    const address = `127.0.0.1:${(busy.address() as AddressInfo).port}`;
    const ended = await cli.spawned([
      'serve',
      '--config',
      await cli.config(),
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
      writeFile(join(cli.folder, 'a.crt'), cli.certificates.cert),
      writeFile(join(cli.folder, 'b.key'), other.key),
    ]);
    const serve = async (...flags: string[]): Promise<ProgramResult> =>
      cli.spawned(['serve', '--config', await cli.config(), ...flags]);
    expect(await serve('--tls-cert-file', 'a.crt')).toMatchObject({ code: 2 });
    const pair = await serve('--tls-cert-file', 'a.crt', '--tls-key-file', 'b.key');
    expect(pair).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('is not the key of the certificate') as unknown,
    });
    expect(await serve('--tls-cert-file', 'none', '--tls-key-file', 'b.key')).toMatchObject({ code: 2 });
  });

  it.each([
    [
      'check',
      { source: { accessCheck: 'pullSecrets' }, policies: { engine: 'gatekeeper' } },
      'source.accessCheck: is pullSecrets, but policies.engine is gatekeeper',
    ],
    ['check', { source: { directTarget: 'refuse' } }, 'source.directTarget: is refuse, but policies.engine is kyverno'],
  ])('%s refuses unsupported settings instead of ignoring a guard', async (command, more, word) => {
    const ended = await cli.swapper([command, '--config', await cli.config(more)]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain(word);
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
      'policies.manage is true, but there is no cluster',
    ],
    [
      'a certificate of its own without a cluster',
      3,
      { tls: { mode: 'selfSigned', dnsNames: ['a.svc'] } },
      [],
      'tls.mode is selfSigned, but there is no cluster: run in a Pod, or set KUBECONFIG',
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
      'source.filters[0].jmespath: Gatekeeper cannot decide',
    ],
    [
      'an address that the engine cannot call',
      2,
      { policies: { manage: true, engine: 'webhook', url: 'http://a.svc:8081' } },
      [],
      'policies.manage is true, but policies.url: kube-apiserver calls https:// addresses only',
    ],
  ])('does not start with %s', async (_, code, more, flags, word) => {
    const ended = await cli.swapper(['serve', '--config', await cli.config(more), ...flags]);
    expect(ended.code).toBe(code);
    expect(ended.stderr).toContain(word);
  });

  it('is reported by check as well', async () => {
    const ended = await cli.swapper(['check', '--config', await cli.config(gatekeeper('obj.spec.hostNetwork'))]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('source.filters[0].jmespath: Gatekeeper cannot decide');
  });

  it('exits 2 without a configuration', async () => {
    expect(await cli.swapper(['serve', '--config', 'nowhere.yaml'])).toMatchObject({
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
    const ended = await cli.swapper(args);
    expect(ended.code).toBe(code);
    if (code !== 0) expect(ended.stderr).toMatch(/Did you mean/);
  });
});
