import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { ClientCertificates, readClientRules } from '../../../extension-service/src/server/client-certificates.js';
import type { ClientRules } from '../../../extension-service/src/server/client-certificates.js';
import { closeServer, createServer, listen } from '../../../extension-service/src/server/listen.js';
import { makeCertificates } from '../../fakes/certificates.js';
import type { Certificates } from '../../fakes/certificates.js';
import { get, post } from '../../fakes/https-client.js';
import type { ClientReply, SendOptions } from '../../fakes/https-client.js';
import { runHere, runProgram } from '../../fakes/program.js';
import { RunningService } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';

const GATEKEEPER = 'gatekeeper-webhook-service.gatekeeper-system.svc';
const KEYS = JSON.stringify({
  apiVersion: 'externaldata.gatekeeper.sh/v1beta1',
  kind: 'ProviderRequest',
  request: { keys: ['nginx'] },
});
const REVIEW = JSON.stringify({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: { uid: 'u', namespace: 'a', object: { spec: { containers: [{ name: 'a', image: 'nginx' }] } } },
});
const TARGET = { type: 'oci', oci: { registry: 'registry.example.com' } };
const POLICIES = { imageSwapPolicy: 'always', imageCopyPolicy: 'none' };

/** Every CA here has the same name. Only the keys differ. */
let gatekeeper: Certificates;
let apiserver: Certificates;
let stranger: Certificates;
let folder: string;

beforeAll(async () => {
  [gatekeeper, apiserver, stranger] = (await Promise.all(
    [[GATEKEEPER], ['kube-apiserver'], [GATEKEEPER]].map((hosts) => makeCertificates({ hosts })),
  )) as [Certificates, Certificates, Certificates];
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-clients-'));
  await writeFile(join(folder, 'apiserver.crt'), apiserver.ca);
  await writeFile(join(folder, 'gatekeeper.crt'), gatekeeper.ca);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const clientsOf = (names: string[] = []) => ({
  gatekeeper: { caFile: join(folder, 'gatekeeper.crt'), names },
  webhook: { caFile: join(folder, 'apiserver.crt'), names: [] },
});
const configOf = (clients?: object): string =>
  stringify({ target: TARGET, ...POLICIES, ...(clients !== undefined && { tls: { clients } }) });
const codeOf = (reply: ClientReply): unknown => (reply.json() as { error?: { code: string } }).error?.code;
const pair = ({ cert, key }: Certificates): SendOptions => ({ cert, key });

describe('a service that asks for certificates of its callers', () => {
  let service: RunningService;
  let plain: string;
  beforeAll(async () => {
    service = await RunningService.start({
      config: configOf(clientsOf()),
      flags: ['--http-listen-address', '127.0.0.1:0'],
    });
    const isPlain = (line: { readonly [key: string]: unknown }): boolean =>
      line['purpose'] === 'admission' && line['protocol'] === 'http';
    await until('the plain listener', () => service.log.some(isPlain));
    plain = `http://${String(service.log.find(isPlain)?.['address'])}`;
  });
  afterAll(async () => service?.stop());

  const send = (path: string, options: SendOptions = {}): Promise<ClientReply> =>
    post(`${service.url}${path}`, path === '/webhook' ? REVIEW : KEYS, { ca: service.ca, ...options });

  it.each([
    ['/v1/gatekeeper', 'Gatekeeper', () => gatekeeper],
    ['/v1/gatekeeper/profile', 'Gatekeeper', () => gatekeeper],
    ['/webhook', 'the API server', () => apiserver],
  ] as const)('answers %s to %s', async (path, _who, whose) => {
    expect((await send(path, pair(whose()))).status).toBe(200);
  });

  it.each([
    ['/v1/gatekeeper', 'nobody', undefined, 401, 'client_certificate_missing'],
    ['/v1/gatekeeper/profile', 'nobody', undefined, 401, 'client_certificate_missing'],
    ['/webhook', 'nobody', undefined, 401, 'client_certificate_missing'],
    ['/v1/gatekeeper', 'a stranger with the right name', () => stranger, 403, 'client_certificate_refused'],
    ['/v1/gatekeeper', 'the API server', () => apiserver, 403, 'client_certificate_refused'],
    ['/webhook', 'Gatekeeper', () => gatekeeper, 403, 'client_certificate_refused'],
  ] as const)('refuses %s to %s', async (path, _who, whose, status, code) => {
    const agent = new Agent({ keepAlive: true, ca: service.ca, ...(whose !== undefined && pair(whose())) });
    const reply = await send(path, { agent });
    agent.destroy();
    expect({ status: reply.status, code: codeOf(reply) }).toEqual({ status, code });
    expect(reply.text).toContain(`tls.clients.${path === '/webhook' ? 'webhook' : 'gatekeeper'}.caFile`);
    expect(reply.headers.connection).toBe('close');
  });

  it('refuses them over plain HTTP for every caller', async () => {
    expect((await post(`${plain}/v1/gatekeeper`, KEYS)).status).toBe(401);
    expect((await post(`${plain}/webhook`, REVIEW)).status).toBe(401);
  });

  it('answers the other routes to every client', async () => {
    const body = JSON.stringify({ request: (JSON.parse(REVIEW) as { request: unknown }).request });
    for (const options of [{}, pair(stranger)]) {
      expect((await post(`${service.url}/v1/kyverno`, body, { ca: service.ca, ...options })).status).toBe(200);
      const explain = JSON.stringify({ image: 'nginx', namespace: 'a' });
      expect((await post(`${service.url}/v1/explain`, explain, { ca: service.ca, ...options })).status).toBe(200);
    }
    expect((await post(`${plain}/v1/kyverno`, body)).status).toBe(200);
  });

  it('does not accept a resumed connection as a certificate', async () => {
    const options = { host: '127.0.0.1', port: Number(new URL(service.url).port), ca: service.ca };
    const ask = async (socket: TLSSocket): Promise<string> => {
      socket.write(`POST /v1/gatekeeper HTTP/1.1\r\nHost: x\r\nContent-Length: ${KEYS.length}\r\n\r\n${KEYS}`);
      const [answer] = (await once(socket, 'data')) as [Buffer];
      socket.destroy();
      return answer.toString().slice(0, 12);
    };
    const first = connect(options);
    const [session] = (await once(first, 'session')) as [Buffer];
    first.destroy();
    const second = connect({ ...options, session });
    await once(second, 'secureConnect');
    expect(second.isSessionReused()).toBe(true);
    expect(await ask(second)).toBe('HTTP/1.1 401');
  });
});

describe('names', () => {
  it.each([
    [[GATEKEEPER], 200],
    [['other.svc', GATEKEEPER], 200],
    [['image-swapper test leaf'], 200],
    [['other.svc'], 403],
    [['*.gatekeeper-system.svc'], 403],
  ])('%j', async (names, status) => {
    const rules = await readClientRules(clientsOf(names));
    const open = await bareServer(rules);
    expect((await open.ask(gatekeeper)).status).toBe(status);
    await open.close();
  });
});

it('treats an expired certificate as missing', async () => {
  const expired = await makeCertificates({ hosts: [GATEKEEPER], expired: true });
  await writeFile(join(folder, 'gatekeeper-of-old.crt'), expired.ca);
  const rules = await readClientRules({
    gatekeeper: { caFile: join(folder, 'gatekeeper-of-old.crt'), names: [GATEKEEPER] },
  });
  const open = await bareServer(rules);
  expect((await open.ask(expired)).status).toBe(403);
  await open.close();
});

describe('another CA of Gatekeeper', () => {
  let service: RunningService | undefined;
  afterEach(async () => service?.stop());

  it('is trusted without a restart, while earlier connections and the old CA remain valid for minutes', async () => {
    const caFile = join(folder, 'rotating.crt');
    await writeFile(caFile, gatekeeper.ca);
    const running = (service = await RunningService.start({ config: configOf({ gatekeeper: { caFile } }) }));
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ...pair(gatekeeper), ca: running.ca });
    const ask = (options: SendOptions): Promise<ClientReply> =>
      post(`${running.url}/v1/gatekeeper`, KEYS, { ca: running.ca, ...options });
    const ports = new Set<number | undefined>();
    const kept = async (): Promise<number> => {
      const { status } = await ask({ agent });
      for (const socket of Object.values(agent.freeSockets).flat()) ports.add(socket?.localPort);
      return status;
    };
    expect(await kept()).toBe(200);
    expect((await ask(pair(stranger))).status).toBe(403);
    await writeFile(caFile, stranger.ca);
    await until('the new CA is trusted', async () => (await ask(pair(stranger))).status === 200);
    expect(await kept()).toBe(200);
    expect(ports.size).toBe(1);
    expect((await ask(pair(gatekeeper))).status).toBe(200);
    expect((await ask({})).status).toBe(401);

    await writeFile(caFile, 'nonsense');
    const failed = async () =>
      (await get(`${running.operations}/metrics`)).text.includes('config_reload_failure_total 1');
    await until('the reload fails', failed);
    expect((await ask(pair(stranger))).status).toBe(200);
    expect((await ask({})).status).toBe(401);
    agent.destroy();
  }, 60_000);

  it('replaces the old CA after five minutes, also on open connections', async () => {
    const [before, after] = [await readClientRules(clientsOf()), await readClientRules(clientsOf())];
    const open = await bareServer(before);
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ...pair(gatekeeper), ca: open.ca });
    expect((await open.ask(undefined, agent)).status).toBe(200);
    const authorities = (await readClientRules({ gatekeeper: { caFile: join(folder, 'apiserver.crt'), names: [] } }))
      .gatekeeper;
    open.replace({ ...after, ...(authorities !== undefined && { gatekeeper: authorities }) });
    open.pass(5 * 60_000 - 1);
    expect((await open.ask(undefined, agent)).status).toBe(200);
    expect((await open.ask(gatekeeper)).status).toBe(200);
    open.pass(1);
    expect((await open.ask(undefined, agent)).status).toBe(403);
    expect((await open.ask(gatekeeper)).status).toBe(403);
    expect((await open.ask(apiserver)).status).toBe(200);
    agent.destroy();
    await open.close();
  });
});

describe('serve refuses to start', () => {
  it.each([
    ['without TLS', () => clientsOf(), [], 'tls.clients: client certificates require TLS'],
    [
      'without the file',
      () => ({ gatekeeper: { caFile: '/nowhere/ca.crt' } }),
      ['tls'],
      'tls.clients.gatekeeper.caFile /nowhere/ca.crt: ENOENT',
    ],
    [
      'with a leaf certificate instead of its CA',
      () => ({ webhook: { caFile: join(folder, 'leaf.crt') } }),
      ['tls'],
      'not PEM CA certificates',
    ],
  ] as const)('%s', async (_what, clients, [tls], message) => {
    await writeFile(join(folder, 'leaf.crt'), gatekeeper.cert);
    await writeFile(join(folder, 'leaf.key'), gatekeeper.key);
    const config = join(folder, 'config.yaml');
    await writeFile(config, configOf(clients()));
    const flags = ['--tls-cert-file', join(folder, 'leaf.crt'), '--tls-key-file', join(folder, 'leaf.key')];
    const addresses = ['--listen-address', '127.0.0.1:0', '--metrics-address', '127.0.0.1:0'];
    const line = ['serve', '--config', config, '--log-level', 'fatal', ...addresses, ...(tls ? flags : [])];
    const ended = await (tls ? runHere(line, { env: {}, cwd: folder }) : runProgram(line, {}));
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain(message);
  });

  it('when certificates become required at runtime', async () => {
    const service = await RunningService.start({ config: configOf() });
    await writeFile(service.configFile, configOf(clientsOf()));
    const told = () => service.log.some((line) => String(line['err']).includes('tls.clients'));
    await until('the reload is refused', told);
    expect((await post(`${service.url}/v1/gatekeeper`, KEYS, { ca: service.ca })).status).toBe(200);
    await service.stop();
  });
});

/** Starts only the listener with the certificate check, and a clock that the test advances. */
async function bareServer(rules: ClientRules) {
  const own = await makeCertificates({ hosts: ['127.0.0.1'] });
  let time = 0;
  const clients = new ClientCertificates(rules, () => time);
  const server = createServer(
    (request, response) => {
      response.statusCode = clients.refusal('gatekeeper', request.socket)?.status ?? 200;
      request.resume().on('end', () => response.end('{}'));
    },
    { ...own, clientAuthorities: clients.authorities },
  );
  const { port } = await listen(server, '127.0.0.1:0', '--listen-address');
  return {
    ca: own.ca,
    ask: (who?: Certificates, agent?: Agent) =>
      post(`https://127.0.0.1:${port}/`, '', {
        ca: own.ca,
        ...(who !== undefined && pair(who)),
        ...(agent !== undefined && { agent }),
      }),
    pass: (milliseconds: number) => (time += milliseconds),
    replace: (next: ClientRules) => {
      clients.replace(next);
      if ('setSecureContext' in server)
        server.setSecureContext({ cert: own.cert, key: own.key, ca: [...clients.authorities] });
    },
    close: () => closeServer(server, 0),
  };
}
