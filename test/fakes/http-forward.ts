import { parseUrl } from '../../extension-service/src/util/parse-url.js';
import { request as httpRequest, type Agent, type IncomingMessage, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';

export interface ForwardOptions {
  /** Origin of the backend, `http://HOST:PORT`. */
  readonly backend: string;
  /** The origin that the client requested. An absolute `Location` of the backend is rewritten to it. */
  readonly origin: string;
  readonly agent: Agent;
  /** Path and query, if they differ from those of the request. */
  readonly path?: string | undefined;
  /** The request body, if it has already been read. */
  readonly body?: Buffer | undefined;
  /** Receives the backend's status before the client does. */
  readonly onStatus?: ((status: number) => void) | undefined;
}

/** Connection-level headers, which each side has for itself. */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'proxy-authorization']);

/**
 * Passes one request to a plain-HTTP backend and returns its response. Both bodies are streamed at the speed of the
 * slower side. All headers are passed unchanged, including `Host`. In the response, only an absolute `Location` is
 * changed.
 *
 * @throws Error when either side disconnects before the response has ended
 */
export async function forward(
  request: IncomingMessage,
  response: ServerResponse,
  options: ForwardOptions,
): Promise<void> {
  const backend = new URL(options.backend);
  const headers = forwardedHeaders(request.rawHeaders);
  const hasBody = request.headers['transfer-encoding'] !== undefined || request.headers['content-length'] !== undefined;
  // Node would otherwise send a chunked body.
  if (!hasBody && !['GET', 'HEAD', 'DELETE'].includes(request.method ?? '')) headers.push('Content-Length', '0');
  const outgoing = httpRequest({
    host: backend.hostname,
    port: backend.port,
    method: request.method,
    path: options.path ?? request.url,
    headers,
    agent: options.agent,
  });
  response.once('close', () => {
    if (!response.writableFinished) outgoing.destroy();
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve);
    outgoing.on('error', reject);
  });
  if (options.body !== undefined) outgoing.end(options.body);
  // A backend may respond and close before it has read the whole body. The response counts, and the failed write is
  // ignored.
  else if (hasBody) pipeline(request, outgoing).catch(() => undefined);
  else outgoing.end();
  const answer = await answered;
  const status = answer.statusCode ?? 502;
  options.onStatus?.(status);
  const answerHeaders = forwardedHeaders(answer.rawHeaders);
  for (let i = 0; i < answerHeaders.length; i += 2) {
    if (answerHeaders[i]?.toLowerCase() !== 'location') continue;
    answerHeaders[i + 1] = publicLocation(
      answerHeaders[i + 1] ?? '',
      [backend.host, request.headers.host],
      options.origin,
    );
  }
  response.writeHead(status, answer.statusMessage, answerHeaders);
  response.flushHeaders();
  await pipeline(answer, response);
}

function forwardedHeaders(rawHeaders: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    if (!HOP_BY_HOP.has(name.toLowerCase())) kept.push(name, rawHeaders[i + 1] ?? '');
  }
  return kept;
}

/**
 * Rewrites a `Location` on the backend itself, under any of its names, to `origin`. Any other `Location` is unchanged.
 */
function publicLocation(location: string, own: readonly (string | undefined)[], origin: string): string {
  const url = parseUrl(location);
  if (url === undefined) return location;
  if (!own.includes(url.host)) return location;
  return `${origin}${location.slice(location.indexOf(url.host) + url.host.length)}`;
}
