import { parseUrl } from '../../extension-service/src/util/parse-url.js';
import { request as httpRequest, type Agent, type IncomingMessage, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';

export interface ForwardOptions {
  /** Where to, `http://HOST:PORT`. */
  readonly backend: string;
  /** The origin that the client asked, which an absolute `Location` of the backend is made to point to. */
  readonly origin: string;
  readonly agent: Agent;
  /** Path and query, when not those of the request. */
  readonly path?: string | undefined;
  /** The request's body when it has been read already. */
  readonly body?: Buffer | undefined;
  /** Hears the backend's status before the client does. */
  readonly onStatus?: ((status: number) => void) | undefined;
}

/** Connection-level headers: each side has its own. */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'proxy-authorization']);

/**
 * Passes one request to a plain-HTTP backend and its answer back, both bodies streamed at the pace of the slower side.
 * All headers pass as they are, `Host` included; of the answer, only an absolute `Location` is changed.
 *
 * @throws Error when either side goes away before that
 */
export async function forward(
  request: IncomingMessage,
  response: ServerResponse,
  options: ForwardOptions,
): Promise<void> {
  const backend = new URL(options.backend);
  const headers = passedOn(request.rawHeaders);
  const hasBody = request.headers['transfer-encoding'] !== undefined || request.headers['content-length'] !== undefined;
  // Node would announce a chunked body by itself.
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
  // A backend may answer, and close, before it has read the whole body: its answer counts, not the failed write.
  else if (hasBody) pipeline(request, outgoing).catch(() => undefined);
  else outgoing.end();
  const answer = await answered;
  const status = answer.statusCode ?? 502;
  options.onStatus?.(status);
  const answerHeaders = passedOn(answer.rawHeaders);
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

function passedOn(rawHeaders: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    if (!HOP_BY_HOP.has(name.toLowerCase())) kept.push(name, rawHeaders[i + 1] ?? '');
  }
  return kept;
}

/** A `Location` on the backend itself, under whichever of its names, as one on `origin`; any other as it is. */
function publicLocation(location: string, own: readonly (string | undefined)[], origin: string): string {
  const url = parseUrl(location);
  if (url === undefined) return location;
  if (!own.includes(url.host)) return location;
  return `${origin}${location.slice(location.indexOf(url.host) + url.host.length)}`;
}
