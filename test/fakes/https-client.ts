import { request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Agent } from 'node:https';

export interface ClientReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Whether the response came over a connection that the agent had kept open. */
  readonly reused: boolean;
  json(): unknown;
}

export interface SendOptions {
  readonly ca?: string;
  readonly headers?: Record<string, string>;
  /** The client's own certificate and key, PEM. */
  readonly cert?: string;
  readonly key?: string;
  /** The local address from which the client sends the request. */
  readonly localAddress?: string;
  /** @default a new connection */
  readonly agent?: Agent;
}

/** Sends one POST on a new connection that trusts only `ca`, as an engine with a CA bundle does. */
export function post(url: string, body: string, options: SendOptions = {}): Promise<ClientReply> {
  return send('POST', url, body, options);
}

export function get(url: string, options: SendOptions = {}): Promise<ClientReply> {
  return send('GET', url, '', options);
}

function send(
  method: string,
  url: string,
  body: string,
  { headers = {}, agent, ...tls }: SendOptions,
): Promise<ClientReply> {
  const request = url.startsWith('https:') ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        method,
        agent: agent ?? false,
        ...tls,
        headers: { ...headers, 'Content-Length': Buffer.byteLength(body) },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            reused: sent.reusedSocket,
            json: () => JSON.parse(text) as unknown,
          });
        });
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}
