/**
 * A bare server that sends the correct response of each route from memory, for comparison with the service. It knows
 * the target of each image and does no other lookups.
 */
import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface StubRequest {
  readonly cert: string;
  readonly key: string;
  /** The target of each image. */
  readonly images: Readonly<Record<string, string>>;
}
export interface StubPorts {
  readonly http: number;
  readonly https: number;
}

interface AskedPod {
  readonly spec: Readonly<Record<string, readonly { readonly name: string; readonly image: string }[] | undefined>>;
}

process.once('message', ({ cert, key, images }: StubRequest) => {
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => reply(images, request, Buffer.concat(chunks).toString('utf8'), response));
  };
  void Promise.all([open(createHttpServer(listener)), open(createHttpsServer({ cert, key }, listener))]).then(
    ([http, https]) => process.send?.({ http, https }),
  );
});

async function open(server: Server): Promise<number> {
  // As in the service, this timeout is longer than Gatekeeper keeps connections.
  server.keepAliveTimeout = 95_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

function reply(images: StubRequest['images'], request: IncomingMessage, body: string, response: ServerResponse): void {
  const text = JSON.stringify(answer(images, request.url ?? '', JSON.parse(body) as Record<string, unknown>));
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }).end(text);
}

function answer(images: StubRequest['images'], path: string, body: Record<string, unknown>): unknown {
  const { request, apiVersion } = body;
  if (path.startsWith('/v1/gatekeeper')) {
    const { keys } = request as { readonly keys: readonly string[] };
    const items = keys.map((key) => ({ key, value: images[key] ?? key }));
    return { apiVersion, kind: 'ProviderResponse', response: { idempotent: true, items } };
  }
  const asked = (typeof request === 'string' ? JSON.parse(request) : request) as { uid: string; object: AskedPod };
  const named: Record<string, Record<string, string>> = {};
  const patches: object[] = [];
  for (const list of ['containers', 'initContainers']) {
    (asked.object.spec[list] ?? []).forEach(({ name, image }, index) => {
      const value = images[image];
      if (value === undefined) return;
      (named[list] ??= {})[name] = value;
      patches.push({ op: 'replace', path: `/spec/${list}/${index}/image`, value });
    });
  }
  if (path.startsWith('/v1/kyverno')) return { images: named, patches };
  const patch = Buffer.from(JSON.stringify(patches)).toString('base64');
  return {
    apiVersion,
    kind: 'AdmissionReview',
    response: { uid: asked.uid, allowed: true, patchType: 'JSONPatch', patch },
  };
}
