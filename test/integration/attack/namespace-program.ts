import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect, createServer, isIPv6, type Socket } from 'node:net';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { LookupAddress } from 'node:dns';
import type { TLSSocket } from 'node:tls';
import { anonymousKeychain } from '../../../extension-service/src/credentials/keychain.js';
import { RegistryError } from '../../../extension-service/src/registry/errors.js';
import { RegistryFactory } from '../../../extension-service/src/registry/factory.js';
import { ADDRESS_CASES } from './address-cases.js';
import { PROXIES, ROUTES_TO_ADDRESS, type Report, type Visit, type Way } from './protocol.js';

/**
 * Runs in a network namespace where every address is local: a hostile registry and a target at public addresses,
 * proxies, and listeners on all other addresses that record connections. Prints one JSON report. Arguments: the
 * registry's certificate and key.
 */
const [certFile = '', keyFile = ''] = process.argv.slice(2);
const REGISTRY = { name: 'evil.example.org', address: '8.0.0.10', port: 5000 };
const TARGET = { name: 'target.example.org', address: '8.0.0.11', port: 5001 };
const REBINDING = 'rebinding.example.org';
const TRIPWIRE_PORTS = [80, 443, 8443];
const PROXY_PORT = 3128;
const DIGEST = `sha256:${'a'.repeat(64)}`;

let tripwireHits: string[] = [];
let connects: string[] = [];
let resumedSessions = 0;
let connections = 0;
let rebindingAnswers: string[] = [];

const names = new Map<string, readonly string[]>([
  [REGISTRY.name, [REGISTRY.address]],
  [TARGET.name, [TARGET.address]],
  ...ADDRESS_CASES.flatMap(({ host, resolves }) =>
    resolves === undefined ? [] : ([[host.toLowerCase(), resolves]] as const),
  ),
]);

function resolve(
  host: string,
  callback: (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void,
): void {
  const next = host === REBINDING ? rebindingAnswers.shift() : undefined;
  const found = next === undefined ? names.get(host) : [next];
  if (found === undefined) callback(Object.assign(new Error(`no ${host}`), { code: 'ENOTFOUND' }), []);
  else
    callback(
      null,
      found.map((address) => ({ address, family: isIPv6(address) ? 6 : 4 })),
    );
}

/** Sends requests for `/v2/<way>/<case>/…` to that case's host. */
function answerHostile(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  const [, , way = '', index = ''] = (request.url ?? '').split('/');
  const host = index === 'rebinding' ? REBINDING : (ADDRESS_CASES[Number(index)]?.host ?? '');
  const port = index === 'rebinding' ? ':8443' : '';
  if (way === 'realm') {
    response.writeHead(401, { 'www-authenticate': `Bearer realm="https://${host}${port}/token",service="s"` });
  } else response.writeHead(307, { location: `https://${host}${port}/elsewhere` });
  response.end();
}

function answerTarget(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  const [, , , index = ''] = (request.url ?? '').split('/');
  if (request.method !== 'POST') response.writeHead(200).end();
  else response.writeHead(202, { location: `http://${ADDRESS_CASES[Number(index)]?.host ?? ''}/upload/1` }).end();
}

async function listen(server: Server | ReturnType<typeof createServer>, port: number, address: string): Promise<void> {
  server.listen(port, address);
  await once(server, 'listening');
}

/** Forwards requests for the registry and the target, and records everything else. */
function proxy(): Server {
  const server = createHttpServer((request, response) => {
    const url = new URL(request.url ?? '');
    request.resume();
    if (url.hostname === TARGET.name) {
      answerTarget(Object.assign(request, { url: url.pathname }), response);
      return;
    }
    connects.push(url.host);
    response.writeHead(502).end();
  });
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    socket.on('error', () => undefined);
    const known = [REGISTRY, TARGET].find(({ name, port }) => request.url === `${name}:${port}`);
    if (known === undefined) {
      connects.push(request.url ?? '');
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
      return;
    }
    const upstream = connect(known.port, known.address, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on('error', () => socket.destroy());
    socket.on('close', () => upstream.destroy());
  });
  return server;
}

function factory(proxyAddress: string): RegistryFactory {
  const url = `http://${proxyAddress}:${PROXY_PORT}`;
  return new RegistryFactory({
    endpoints: [{ host: `${TARGET.name}:${TARGET.port}`, insecure: true }],
    hosts: { allow: [], deny: [] },
    env: proxyAddress === '' ? {} : { HTTPS_PROXY: url, HTTP_PROXY: url },
    retry: { attempts: 1 },
    timeouts: { connect: 5_000, headers: 5_000, idle: 5_000 },
    resolve,
  });
}

async function send(through: RegistryFactory, way: Way, index: number): Promise<void> {
  const host = `${REGISTRY.name}:${REGISTRY.port}`;
  switch (way) {
    case 'reference':
      await through.client(ADDRESS_CASES[index]?.host ?? '', anonymousKeychain).headManifest('app', 'latest');
      break;
    case 'blob-redirect':
      await through
        .client(host, anonymousKeychain)
        .getBlob(`blob-redirect/${index}`, { mediaType: '', digest: DIGEST, size: 1 });
      break;
    case 'location':
      await through.client(`${TARGET.name}:${TARGET.port}`, anonymousKeychain).probePush(`location/${index}`);
      break;
    case 'manifest-redirect':
    case 'realm':
      await through.client(host, anonymousKeychain).headManifest(`${way}/${index}`, 'latest');
  }
}

async function kindOf(work: Promise<void>): Promise<string> {
  try {
    await work;
    return '';
  } catch (error) {
    return error instanceof RegistryError ? error.kind : String(error);
  }
}

async function visitAll(): Promise<Visit[]> {
  const visits: Visit[] = [];
  for (const proxyAddress of PROXIES) {
    for (const way of ROUTES_TO_ADDRESS) {
      const through = factory(proxyAddress);
      for (const [index, { host }] of ADDRESS_CASES.entries()) {
        tripwireHits = [];
        connects = [];
        const kind = await kindOf(send(through, way, index));
        visits.push({ way, proxy: proxyAddress, host, tripwireHits, connects, kind });
      }
      through.close();
    }
  }
  return visits;
}

/** A name that is public at the first check, and later resolves to this machine or the metadata service. */
async function rebind(): Promise<Pick<Report, 'rebound' | 'reboundKinds'>> {
  const reboundKinds: string[] = [];
  tripwireHits = [];
  for (const second of ['127.0.0.1', '169.254.169.254', '10.0.0.5', '64:ff9b:1::a9fe:a9fe']) {
    for (const way of ['realm', 'manifest-redirect'] as const) {
      rebindingAnswers = [REGISTRY.address, second];
      const through = factory('');
      const client = through.client(`${REBINDING}:${REGISTRY.port}`, anonymousKeychain);
      reboundKinds.push(await kindOf(client.headManifest(`${way}/rebinding`, 'latest').then(() => undefined)));
      through.close();
    }
  }
  return { rebound: tripwireHits, reboundKinds };
}

const tls = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
const registry = createHttpsServer(tls, answerHostile);
registry.on('secureConnection', (socket: TLSSocket) => {
  connections++;
  if (socket.isSessionReused()) resumedSessions++;
});
await listen(registry, REGISTRY.port, REGISTRY.address);
await listen(createHttpServer(answerTarget), TARGET.port, TARGET.address);
for (const address of PROXIES) if (address !== '') await listen(proxy(), PROXY_PORT, address);
for (const port of TRIPWIRE_PORTS) {
  const tripwire = createServer((socket) => {
    socket.on('error', () => undefined);
    tripwireHits.push((socket.localAddress ?? '').replace(/^::ffff:(?=\d+\.)/, ''));
    socket.destroy();
  });
  await listen(tripwire, port, '::');
}

/** Opens two connections of one client to one registry. The second must not offer a session of the first. */
async function connectTwice(): Promise<void> {
  const through = factory('');
  const client = through.client(`${REGISTRY.name}:${REGISTRY.port}`, anonymousKeychain);
  for (let n = 0; n < 2; n++) {
    await kindOf(client.headManifest('manifest-redirect/0', 'latest').then(() => undefined));
    registry.closeAllConnections();
    await new Promise((done) => setTimeout(done, 20));
  }
  through.close();
}

const visits = await visitAll();
const rebinding = await rebind();
await connectTwice();
const report: Report = { visits, ...rebinding, resumedSessions, connections };
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0));
