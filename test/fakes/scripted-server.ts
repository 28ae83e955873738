import http, { type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ScriptedRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface ScriptedAnswer {
  readonly status: number;
  /** A header with a list of values is sent once for each value. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** The response body. An object is sent as JSON. */
  readonly body?: string | object;
}

export type Script = (request: ScriptedRequest, server: ScriptedServer) => ScriptedAnswer;

/** A plain HTTP server on loopback that answers with a function, and records its requests. */
export class ScriptedServer {
  readonly log: (ScriptedRequest & { readonly status: number })[] = [];

  private constructor(
    private readonly server: Server,
    readonly host: string,
  ) {}

  static async start(script: Script): Promise<ScriptedServer> {
    const server = http.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const scripted = new ScriptedServer(server, `127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on('request', (request, response) => {
      const pieces: Buffer[] = [];
      request.on('error', () => undefined);
      request.on('data', (piece: Buffer) => pieces.push(piece));
      request.on('end', () => {
        const url = new URL(request.url ?? '/', scripted.origin);
        const asked = {
          method: request.method ?? '',
          path: url.pathname,
          query: url.searchParams,
          headers: request.headers,
          body: Buffer.concat(pieces).toString(),
        };
        const { status, headers = {}, body = '' } = script(asked, scripted);
        scripted.log.push({ ...asked, status });
        const text = typeof body === 'string' ? body : JSON.stringify(body);
        for (const [name, value] of Object.entries(headers)) {
          response.setHeader(name, typeof value === 'string' ? value : [...value]);
        }
        response.writeHead(status, { 'content-length': Buffer.byteLength(text) });
        response.end(request.method === 'HEAD' ? undefined : text);
      });
    });
    return scripted;
  }

  get origin(): string {
    return `http://${this.host}`;
  }

  /** `METHOD path status`, in order. */
  get lines(): string[] {
    return this.log.map(({ method, path, status }) => `${method} ${path} ${status}`);
  }

  /** Requests to the token endpoint, with their scopes and users. */
  get tokens(): { readonly scopes: readonly string[]; readonly user: string; readonly status: number }[] {
    return this.log
      .filter(({ path }) => path.startsWith('/token'))
      .map(({ query, headers, body, status }) => {
        const scopes = query.getAll('scope');
        const form = new URLSearchParams(body);
        const [, basic = ''] = /^Basic (.*)$/.exec(headers.authorization ?? '') ?? [];
        const [user = ''] = Buffer.from(basic, 'base64').toString().split(':');
        return { scopes: scopes.length > 0 ? scopes : form.getAll('scope'), user: user === '' ? '-' : user, status };
      });
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeAllConnections();
    await closed;
  }
}
