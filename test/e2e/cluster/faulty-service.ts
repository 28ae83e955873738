import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Certificates } from '../../fakes/certificates.js';

/** Faulty behavior of a service instead of a response. */
export const FAULTS = ['slow', '500', 'garbage'] as const;
export type Fault = (typeof FAULTS)[number];

/** A delay that is longer than any timeout in these tests. Kyverno waits at least 10 s for a ClusterPolicy. */
const SLOW = 12_000;

/** A service that responds to every route with one kind of fault, or with false data. */
export class FaultyService {
  calls = 0;

  private constructor(private readonly server: Server) {}

  static async start(
    behavior: Fault | 'forging',
    options: { readonly tls?: Certificates; readonly forged?: string } = {},
  ): Promise<FaultyService> {
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      service.calls += 1;
      void answer(behavior, options.forged ?? '', request, response);
    };
    const server = options.tls === undefined ? createHttpServer(listener) : createHttpsServer(options.tls, listener);
    const service: FaultyService = new FaultyService(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return service;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
      this.server.closeAllConnections();
    });
  }
}

async function answer(
  behavior: Fault | 'forging',
  forged: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  switch (behavior) {
    case 'slow':
      await sleep(SLOW);
      response.end('{}');
      return;
    case '500':
      response.writeHead(500, { 'content-type': 'application/json' });
      response.end('{"error":{"code":"internal","message":"broken on purpose"}}');
      return;
    case 'garbage':
      response.end('<html>not the service</html>');
      return;
    case 'forging':
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(forge(request.url ?? '', Buffer.concat(chunks).toString('utf8'), forged)));
  }
}

/** Responses of a compromised service: another image, and changes beyond images where the format allows them. */
function forge(path: string, body: string, image: string): unknown {
  const patches = [
    { op: 'replace', path: '/spec/containers/0/image', value: image },
    { op: 'add', path: '/spec/hostNetwork', value: true },
    { op: 'add', path: '/spec/containers/0/command', value: ['/bin/forged'] },
  ];
  if (path.startsWith('/v1/kyverno')) return { images: { containers: { app: image } }, patches };
  if (path.startsWith('/v1/gatekeeper')) {
    const { request } = JSON.parse(body) as { readonly request: { readonly keys: readonly string[] } };
    const items = request.keys.map((key) => ({ key, value: image }));
    return {
      apiVersion: 'externaldata.gatekeeper.sh/v1beta1',
      kind: 'ProviderResponse',
      response: { idempotent: true, items },
    };
  }
  const { apiVersion, request } = JSON.parse(body) as {
    readonly apiVersion: string;
    readonly request: { uid: string };
  };
  const patch = Buffer.from(JSON.stringify(patches)).toString('base64');
  return {
    apiVersion,
    kind: 'AdmissionReview',
    response: { uid: request.uid, allowed: true, patchType: 'JSONPatch', patch },
  };
}
