import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { sharedCertificates } from './certificates.js';
import { kubeconfigFor } from './kubeconfig.js';

export interface StoredObject {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly [key: string]: unknown };
  readonly [key: string]: unknown;
}

export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly contentType: string;
  readonly body: unknown;
  /** Time of arrival, milliseconds of a monotonic clock. */
  readonly at: number;
}

/**
 * An error status, no response (`hang`), a cut connection (`cut`), or an executed request without a response (`do and
 * hang`).
 */
export type ApiFault = number | 'hang' | 'cut' | 'do and hang';

const PATH = /^(\/apis?(?:\/[a-z0-9.]+)?\/v[a-z0-9]+)\/namespaces\/([^/]+)\/([a-z]+)(?:\/([^/]+))?$/;

/**
 * A Kubernetes API on loopback with namespaced objects of any kind, over TLS and with a bearer token. It supports
 * create, read, update, merge patch and delete with resource versions, and has a request log and faults.
 */
export class FakeObjectServer {
  readonly requests: ApiRequest[] = [];
  /** Objects by path. */
  readonly objects = new Map<string, StoredObject>();
  /** Returns the fault of a request, or undefined. */
  fault: (request: ApiRequest) => ApiFault | undefined = () => undefined;
  private version = 100;

  private constructor(
    private readonly server: Server,
    readonly origin: string,
    readonly ca: string,
    readonly token: string,
  ) {}

  static async start(token = 'fake-token'): Promise<FakeObjectServer> {
    const { ca, cert, key } = await sharedCertificates(['127.0.0.1']);
    const server = createServer({ cert, key });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const fake = new FakeObjectServer(server, origin, ca, token);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => void fake.answer(request, response));
    return fake;
  }

  kubeconfig(namespace: string): string {
    return kubeconfigFor(this, namespace);
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString('utf8');
    const request: ApiRequest = {
      method: incoming.method ?? '',
      path: new URL(incoming.url ?? '/', this.origin).pathname,
      contentType: incoming.headers['content-type'] ?? '',
      body: text === '' ? undefined : (JSON.parse(text) as unknown),
      at: performance.now(),
    };
    this.requests.push(request);
    const fault = this.fault(request);
    if (fault === 'hang') return;
    if (fault === 'cut') return void incoming.socket.destroy();
    const authorized = incoming.headers.authorization === `Bearer ${this.token}`;
    const [status, body] = !authorized
      ? refusal(401, 'Unauthorized')
      : typeof fault === 'number'
        ? refusal(fault, `refused by the test with ${fault}`)
        : this.handle(request);
    if (fault === 'do and hang') return;
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
  }

  private handle({ method, path, contentType, body }: ApiRequest): [number, unknown] {
    const match = PATH.exec(path);
    if (match === null) return refusal(404, `no route ${path}`);
    const [, , namespace = '', , name] = match;
    const known = this.objects.get(path);
    const sent = (body ?? {}) as Partial<StoredObject>;
    if (method === 'POST' && name === undefined) {
      const own = `${path}/${sent.metadata?.name ?? ''}`;
      if (this.objects.has(own)) return refusal(409, `${own} already exists`);
      const metadata = { ...sent.metadata, uid: randomUUID(), creationTimestamp: new Date().toISOString() };
      return [201, this.store(own, namespace, sent, metadata)];
    }
    if (known === undefined) return refusal(404, `${path} not found`);
    if (method === 'GET') return [200, known];
    if (method === 'DELETE') {
      this.objects.delete(path);
      return [200, known];
    }
    const version = sent.metadata?.['resourceVersion'];
    if (version !== undefined && version !== known.metadata['resourceVersion']) {
      return refusal(409, `the object has been modified; please apply your changes to the latest version`);
    }
    if (method === 'PUT') return [200, this.store(path, namespace, sent, sent.metadata)];
    if (method !== 'PATCH' || contentType !== 'application/merge-patch+json') return refusal(415, contentType);
    const merged = mergePatch(known, sent) as StoredObject;
    return [200, this.store(path, namespace, merged, merged.metadata)];
  }

  private store(path: string, namespace: string, object: object, given: object = {}): StoredObject {
    this.version += 1;
    const name = path.slice(path.lastIndexOf('/') + 1);
    const metadata = { ...given, name, namespace, resourceVersion: String(this.version) };
    const stored: StoredObject = { ...object, metadata };
    this.objects.set(path, stored);
    return stored;
  }
}

function refusal(code: number, message: string): [number, unknown] {
  return [code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, message }];
}

/** Applies a JSON merge patch (RFC 7386). */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = { ...(typeof target === 'object' && target !== null ? target : {}) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}
