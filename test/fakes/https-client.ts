import { request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';

export interface ClientReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  json(): unknown;
}

/** One POST on a connection of its own, trusting only `ca`; what an engine with a CA bundle does. */
export function post(
  url: string,
  body: string,
  options: { readonly ca?: string; readonly headers?: Record<string, string> } = {},
): Promise<ClientReply> {
  return send('POST', url, body, options);
}

export function get(url: string, options: { readonly ca?: string } = {}): Promise<ClientReply> {
  return send('GET', url, '', options);
}

function send(
  method: string,
  url: string,
  body: string,
  { ca, headers = {} }: { readonly ca?: string; readonly headers?: Record<string, string> },
): Promise<ClientReply> {
  const request = url.startsWith('https:') ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      {
        method,
        agent: false,
        ...(ca !== undefined && { ca }),
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
            json: () => JSON.parse(text) as unknown,
          });
        });
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}
