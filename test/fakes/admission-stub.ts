import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/** The parts of a Kubernetes AdmissionRequest that the stub reads. */
export interface StubAdmissionRequest {
  readonly operation?: string;
  readonly object?: StubPod | null;
  readonly oldObject?: StubPod | null;
}
export interface StubPod {
  readonly metadata?: { readonly name?: string; readonly namespace?: string };
  readonly spec?: Partial<Record<ContainerList, readonly { readonly name: string; readonly image?: string }[]>> & {
    readonly volumes?: readonly StubVolume[];
  };
}
export type ContainerList = (typeof CONTAINER_LISTS)[number];
export interface StubVolume {
  readonly name: string;
  readonly image?: { readonly reference?: string };
}

export interface StubCall {
  readonly method: string;
  readonly path: string;
  /** The request: JSON text from a ClusterPolicy, an object from a MutatingPolicy. */
  readonly form: 'text' | 'object' | 'invalid';
  readonly request: StubAdmissionRequest;
}

export interface StubReply {
  /** Status of the response. @default 200 */
  readonly status?: number;
  /** The body. A string is sent unchanged, anything else as JSON. */
  readonly body: unknown;
}

/** Returns the response. A promise that never settles makes the service hang. */
export type StubAnswer = (call: StubCall) => StubReply | Promise<StubReply>;

const CONTAINER_LISTS = ['containers', 'initContainers', 'ephemeralContainers'] as const;

/**
 * A substitute for the extension service with the HTTP contract of `POST /v1/kyverno`, for tests that need wrong
 * responses. It returns the result of `answer`, which may be false, an error or invalid, and records its calls.
 */
export class AdmissionStub {
  readonly calls: StubCall[] = [];
  /** The Authorization header of each call. */
  readonly authorizations: (string | undefined)[] = [];
  answer: StubAnswer;
  private readonly server: Server;
  private readonly scheme: 'http' | 'https';

  private constructor(server: Server, scheme: 'http' | 'https', answer: StubAnswer) {
    this.server = server;
    this.scheme = scheme;
    this.answer = answer;
  }

  /** Listens on a free port of 127.0.0.1, over TLS if a certificate is given. */
  static async start(options: {
    readonly answer: StubAnswer;
    readonly tls?: { readonly cert: string; readonly key: string };
  }): Promise<AdmissionStub> {
    const listener = (request: IncomingMessage, response: ServerResponse): void => void stub.respond(request, response);
    const server: Server = options.tls ? createHttpsServer(options.tls, listener) : createHttpServer(listener);
    const stub = new AdmissionStub(server, options.tls ? 'https' : 'http', options.answer);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return stub;
  }

  /** Base URL, as the `url` option of the policies expects it. */
  get url(): string {
    return `${this.scheme}://localhost:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
      this.server.closeAllConnections();
    });
  }

  private async respond(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const { form, request } = parseBody(Buffer.concat(chunks).toString('utf8'));
    const call = { method: incoming.method ?? '', path: incoming.url ?? '', form, request };
    this.calls.push(call);
    this.authorizations.push(incoming.headers.authorization);
    const { status = 200, body } = await this.answer(call);
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  }
}

/** Returns the correct response of the contract: `prefix` is prepended to every image outside `prefix`. */
export function mirrorInto(prefix: string): StubAnswer {
  return ({ request }) => {
    const images: Partial<Record<ContainerList | 'volumes', Record<string, string>>> = {};
    const patches: { op: 'replace'; path: string; value: string }[] = [];
    for (const list of CONTAINER_LISTS) {
      (request.object?.spec?.[list] ?? []).forEach((container, index) => {
        if (container.image === undefined || container.image.startsWith(prefix)) return;
        const value = `${prefix}${container.image}`;
        (images[list] ??= {})[container.name] = value;
        patches.push({ op: 'replace', path: `/spec/${list}/${index}/image`, value });
      });
    }
    (request.object?.spec?.volumes ?? []).forEach(({ name, image }, index) => {
      if (image?.reference === undefined || image.reference.startsWith(prefix)) return;
      const value = `${prefix}${image.reference}`;
      (images.volumes ??= {})[name] = value;
      patches.push({ op: 'replace', path: `/spec/volumes/${index}/image/reference`, value });
    });
    return { body: { images, patches } };
  };
}

function parseBody(text: string): Pick<StubCall, 'form' | 'request'> {
  const invalid = { form: 'invalid', request: {} } as const;
  try {
    const body = JSON.parse(text) as { readonly request?: unknown };
    if (typeof body.request === 'string') {
      return { form: 'text', request: JSON.parse(body.request) as StubAdmissionRequest };
    }
    return typeof body.request === 'object' && body.request !== null
      ? { form: 'object', request: body.request }
      : invalid;
  } catch {
    return invalid;
  }
}
