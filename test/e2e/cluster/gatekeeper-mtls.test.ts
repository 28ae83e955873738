import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { Agent, createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { gatekeeperChartValues } from '../../../extension-service/src/core/engines/gatekeeper/chart-values.js';
import { renderGatekeeper } from '../../../extension-service/src/core/engines/gatekeeper/mutation.js';
import { makeCertificates } from '../../fakes/certificates.js';
import type { Certificates } from '../../fakes/certificates.js';
import { freePort } from '../../fakes/free-port.js';
import { get, post } from '../../fakes/https-client.js';
import { RunningService } from '../../fakes/service.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { ControlPlane } from './control-plane.js';
import { Front } from './front.js';
import { startGatekeeper } from './gatekeeper-manager.js';
import type { GatekeeperProcess } from './gatekeeper-manager.js';
import type { ApiObject } from './kube-api.js';
import { create, NAMESPACE, pod, tryOut } from './pods.js';
import { until } from '../../fakes/until.js';

const available = await goToolsAvailable('mTLS with the real Gatekeeper');
const PREFIX = 'registry.example.com/mirror/';
const swapped = (image: string): string => `${PREFIX}docker.io/library/${image}`;

/** The service trusts the CA certificate in the Secret with Gatekeeper's certificate. Here, the Secret is a folder. */
describe.skipIf(!available)('mTLS with the real Gatekeeper', () => {
  let plane: ControlPlane;
  let gatekeeper: GatekeeperProcess;
  let service: RunningService;
  let front: Front;
  let port: number;
  /**
   * A service with a connection that is used at the beginning and at the end. A change of CA certificates would close
   * it.
   */
  let idle: RunningService;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let openedAt = 0;

  function postKeepAlive(): ReturnType<typeof post> {
    const body = JSON.stringify({ request: { operation: 'CREATE', namespace: 'a', object: pod('nginx:1') } });
    return post(`${idle.url}/v1/kyverno`, body, { ca: idle.ca, agent });
  }

  beforeAll(async () => {
    plane = await ControlPlane.start();
    await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
    gatekeeper = await startGatekeeper(plane, gatekeeperChartValues());
    port = await freePort();
    service = await serve(join(gatekeeper.certificates, 'ca.crt'), port);
    const unchanging = join(plane.folder, 'unchanging-ca.crt');
    await writeFile(unchanging, gatekeeper.ca);
    idle = await serve(unchanging, await freePort());
    expect(await postKeepAlive()).toMatchObject({ status: 200, reused: false });
    openedAt = Date.now();
    front = await Front.start(port);
    // The mutators fail closed, so a failed call means a refused Pod.
    const url = `https://127.0.0.1:${front.port}`;
    for (const object of renderGatekeeper({ url, caBundle: service.ca, failClosed: true })) {
      await plane.api.apply(object as unknown as ApiObject);
    }
    await until('Gatekeeper swaps', async () => {
      const admission = await tryOut(plane.api, pod('nginx:1'));
      return admission.admitted && admission.images['app'] === swapped('nginx:1');
    });
  });
  afterAll(async () => {
    await gatekeeper?.program.stop();
    await front?.stop();
    await service?.stop();
    await idle?.stop();
    await plane?.stop();
  });

  it('swaps over TLS 1.3 for Gatekeeper and for no other client', async () => {
    expect(await create(plane.api, pod('nginx:1'))).toMatchObject({ images: { app: swapped('nginx:1') } });
    const body = JSON.stringify({ kind: 'ProviderRequest', request: { keys: ['nginx:1'] } });
    const ask = (options: object = {}) => post(`${service.url}/v1/gatekeeper`, body, { ca: service.ca, ...options });
    const { cert, key } = await makeCertificates({ hosts: ['gatekeeper-webhook-service.gatekeeper-system.svc'] });
    expect((await ask()).status).toBe(401);
    expect((await ask({ cert, key })).status).toBe(403);
    const { text } = await get(`${service.operations}/metrics`);
    expect(text).toMatch(/image_swapper_resolve_requests_total\{route="gatekeeper",outcome="200"\}/);
    expect((await withConnection((socket) => socket.getProtocol())).at(-1)).toBe('TLSv1.3');
  });

  it('refuses Gatekeeper when another client CA is configured', async () => {
    const other = await makeCertificates({ hosts: ['127.0.0.1'] });
    const file = join(plane.folder, 'other-ca.crt');
    await writeFile(file, other.ca);
    const strict = await serve(file, await freePort(), service);
    try {
      await front.setBackendPort(Number(new URL(strict.url).port));
      expect((await create(plane.api, pod('nginx:1'))).admitted).toBe(false);
      const { text } = await get(`${strict.operations}/metrics`);
      expect(text).toMatch(/image_swapper_resolve_requests_total\{route="gatekeeper",outcome="403"\} 1/);
    } finally {
      await front.setBackendPort(port);
      await strict.stop();
    }
    expect(await create(plane.api, pod('nginx:1'))).toMatchObject({ images: { app: swapped('nginx:1') } });
  });

  it('continues without refusing a Pod when Gatekeeper gets another CA', async () => {
    const [before, after] = [gatekeeper.ca, await makeCertificates({ hosts: ['127.0.0.1'] })];
    await gatekeeper.trust(`${before}${after.ca}`);
    const failed: unknown[] = [];
    let [created, stop] = [0, false];
    const load = (async () => {
      while (!stop) {
        const image = `app:${created}`;
        const admission = await create(plane.api, pod(image));
        if (!admission.admitted || admission.images['app'] !== swapped(image)) failed.push(admission);
        created += 1;
        // Some calls use a new connection, because a change of CAs could break handshakes.
        if (created % 10 === 0) await front.setBackendPort(port);
        await sleep(50);
      }
    })();
    await sleep(1_000);
    // The kubelet updates the files of the two Pods at different times. Here, the service's files are first.
    await writeFile(join(gatekeeper.certificates, 'ca.crt'), after.ca);
    const reloads = async () => (await get(`${service.operations}/metrics`)).text;
    await until('the service has the new CA', async () => /config_reload_success_total 1/.test(await reloads()));
    await sleep(2_000);
    await writeFile(join(gatekeeper.certificates, 'tls.crt'), after.cert);
    await writeFile(join(gatekeeper.certificates, 'tls.key'), after.key);
    await until('Gatekeeper shows the new certificate', async () => issuerOf(gatekeeper.port, after));
    await sleep(3_000);
    await until('many Pods were created', () => created > 60);
    stop = true;
    await load;
    expect(failed).toEqual([]);
    // Calls succeed because Gatekeeper sends the new certificate, not because the old CA is still accepted.
    const sent = await withConnection((socket) => socket.getPeerX509Certificate());
    expect(sent.at(-1)?.verify(new X509Certificate(after.ca).publicKey)).toBe(true);
    expect(await create(plane.api, pod('nginx:1'))).toMatchObject({ images: { app: swapped('nginx:1') } });
  });

  it('keeps connections longer than Gatekeeper, so that Gatekeeper never writes to a closing connection', async () => {
    await sleep(openedAt + 91_000 - Date.now());
    expect(await postKeepAlive()).toMatchObject({ status: 200, reused: true });
    agent.destroy();
  });

  /** Returns Gatekeeper's connections, as seen by a server that replaces the service and has its certificate. */
  async function withConnection<T>(look: (socket: TLSSocket) => T): Promise<T[]> {
    const read = (file: string) => readFile(join(service.folder, file), 'utf8');
    const seen: T[] = [];
    const server = createServer(
      { cert: await read('tls.crt'), key: await read('tls.key'), requestCert: true, rejectUnauthorized: false },
      (request, response) => {
        seen.push(look(request.socket as TLSSocket));
        response.end();
      },
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    await front.setBackendPort((server.address() as AddressInfo).port);
    // On a busy machine, a call can end at its timeout before it reaches the server.
    await until('a call of Gatekeeper', async () => {
      expect((await tryOut(plane.api, pod('nginx:1'))).admitted).toBe(false);
      return seen.length > 0;
    });
    await front.setBackendPort(port);
    server.closeAllConnections();
    server.close();
    return seen;
  }
});

async function serve(caFile: string, port: number, like?: RunningService): Promise<RunningService> {
  const config = stringify({
    imageSwapPolicy: 'always',
    imageCopyPolicy: 'none',
    target: { type: 'oci', oci: { registry: 'registry.example.com', prefix: 'mirror' } },
    tls: { clients: { gatekeeper: { caFile } } },
  });
  // The process uses another client's certificate. Of two identical flags, the last one applies.
  const flags = like === undefined ? [] : certificateFlags(like.folder);
  return RunningService.start({ config, listen: `127.0.0.1:${port}`, flags });
}

function certificateFlags(folder: string): string[] {
  return ['--tls-cert-file', join(folder, 'tls.crt'), '--tls-key-file', join(folder, 'tls.key')];
}

async function issuerOf(port: number, { ca }: Certificates): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const certificate = socket.getPeerX509Certificate();
  socket.destroy();
  return certificate?.verify(new X509Certificate(ca).publicKey) === true;
}
