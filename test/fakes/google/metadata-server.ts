import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { GoogleTokens } from './tokens.js';

export interface MetadataRequest {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
}

/** `hang`: the server accepts connections and never responds. `no-account`: the Pod has no service account. */
export type MetadataMode = 'serve' | 'hang' | 'no-account' | 'forbidden';

/**
 * The metadata server of a Google machine, or GKE's for Workload Identity, with its real paths and headers
 * (cloud.google.com/compute/docs/metadata/overview): it only answers requests with `Metadata-Flavor: Google`.
 */
export class MetadataServer {
  readonly requests: MetadataRequest[] = [];
  mode: MetadataMode = 'serve';
  /** The number of token requests that find no service account yet, as in a Pod's first seconds. */
  late = 0;
  /** Lifetime of new tokens in seconds. */
  lifetime = 3_599;

  private constructor(
    private readonly server: Server,
    private readonly tokens: GoogleTokens,
    private readonly identity: string,
  ) {}

  /** `identity` is the e-mail of the service account that the Pod acts as. */
  static async start(tokens: GoogleTokens, identity: string): Promise<MetadataServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const metadata = new MetadataServer(server, tokens, identity);
    server.on('request', (request, response) => metadata.#answer(request, response));
    return metadata;
  }

  /** Value for GCE_METADATA_HOST. */
  get host(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Returns the token requests. */
  tokenRequests(): readonly MetadataRequest[] {
    return this.requests.filter(({ path }) => path.endsWith('/token'));
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeAllConnections();
    await closed;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://metadata.google.internal');
    this.requests.push({ path: url.pathname, query: url.searchParams, headers: request.headers });
    if (this.mode === 'hang') return;
    const send = (status: number, body: string, type = 'application/text'): void => {
      response.writeHead(status, {
        'content-type': type,
        'metadata-flavor': 'Google',
        server: 'Metadata Server for VM',
      });
      response.end(body);
    };
    if (request.headers['metadata-flavor'] !== 'Google') {
      send(403, 'Missing required header: Metadata-Flavor');
      return;
    }
    switch (url.pathname.replace(/\/$/, '')) {
      case '/computeMetadata/v1/instance':
        send(200, 'attributes/\nhostname\nid\nservice-accounts/\nzone\n');
        return;
      case '/computeMetadata/v1/universe/universe-domain':
        send(200, 'googleapis.com');
        return;
      case '/computeMetadata/v1/instance/service-accounts/default/email':
        send(200, this.identity);
        return;
      case '/computeMetadata/v1/instance/service-accounts/default/token': {
        if (this.mode === 'no-account' || this.late-- > 0) return send(404, 'Service account not found');
        if (this.mode === 'forbidden') return send(403, 'Unable to generate access token; IAM returned 403 Forbidden');
        const access_token = this.tokens.issue(this.identity, this.lifetime);
        return send(
          200,
          JSON.stringify({ access_token, expires_in: this.lifetime, token_type: 'Bearer' }),
          'application/json',
        );
      }
      default:
        send(404, 'Not Found');
    }
  }
}
