import { parseUrl } from '../util/parse-url.js';
import { readFile } from 'node:fs/promises';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { text as readText } from 'node:stream/consumers';
import { unreadable } from '../util/unreadable.js';
import type { MirrorsAnswer } from '../server/app.js';
import type { ExplainAnswer } from '../server/explain.js';
import { CliError, EXIT } from './exit.js';
import { messageOf } from '../util/message-of.js';
import { parseBoundedJson } from '../core/json-bounds.js';

const REQUEST_TIMEOUT_MS = 15_000;

/** The address of a running service. */
export interface ServiceAddress {
  readonly server: string;
  /** PEM file with the CA certificate that signed the service's certificate. */
  readonly caFile?: string;
}

/**
 * Requests an explanation from a running service, which has the current configuration and knows its copies.
 *
 * @throws CliError with the address if there is no answer, or the answer is not the service's
 */
export async function fetchExplanation(service: ServiceAddress, body: unknown): Promise<ExplainAnswer> {
  const { value } = await fetchFirst(service, '/v1/explain', 'https://127.0.0.1:8443', JSON.stringify(body));
  return value as ExplainAnswer;
}

/**
 * The copies that a running service knows, and the service's current time in milliseconds since the epoch.
 *
 * @throws CliError with the address if there is no answer, or the answer is not the service's
 */
export async function fetchMirrors(service: ServiceAddress): Promise<{ answer: MirrorsAnswer; now: number }> {
  const { value, date } = await fetchFirst(service, '/v1/mirrors', 'http://127.0.0.1:8080');
  return { answer: value as MirrorsAnswer, now: date };
}

/** The member that identifies each kind of answer. */
const LISTS = { '/v1/explain': 'containers', '/v1/mirrors': 'mirrors' } as const;

/** The service has two ports, and each command uses one of them. */
const OTHER_PORT = {
  '/v1/explain': 'explain asks the admission port (8443), and this may be the operations port (8080)',
  '/v1/mirrors': 'status asks the operations port (8080), and this may be the admission port (8443)',
} as const;
/** The port in the Pod; any local port may be forwarded to it. */
const PORT_IN_POD = { '/v1/explain': '8443', '/v1/mirrors': '8080' } as const;

async function fetchFirst(
  { server, caFile }: ServiceAddress,
  path: keyof typeof LISTS,
  example: string,
  body?: string,
): Promise<{ readonly value: unknown; readonly date: number }> {
  const address = urlOf(server, path, example);
  const ca = caFile === undefined ? undefined : await readCa(caFile);
  let answer: Awaited<ReturnType<typeof send>>;
  try {
    answer = await send(address, body, ca);
  } catch (error) {
    throw new CliError(
      EXIT.infrastructure,
      `${address.href}: ${reasonOf(error)}${hint(error, address, ca, PORT_IN_POD[path])}`,
    );
  }
  const parsed = parse(answer.text);
  if (answer.status === 200 && Array.isArray(parsed[LISTS[path]])) return { value: parsed, date: answer.date };
  const reason = (parsed.error as { message?: string } | undefined)?.message;
  const code = answer.status === 400 ? EXIT.usage : EXIT.infrastructure;
  const other = answer.status === 404 ? `; ${OTHER_PORT[path]}` : '';
  throw new CliError(
    code,
    `${address.href}: ${answer.status}: ${reason ?? 'this is not a response of image-swapper'}${other}`,
  );
}

function urlOf(text: string, path: string, example: string): URL {
  const url = parseUrl(text);
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new CliError(EXIT.usage, `--server ${JSON.stringify(text)}: expected a URL such as ${example}`);
  }
  url.pathname = `${url.pathname.replace(/\/+$/, '')}${path}`;
  return url;
}

async function send(
  url: URL,
  body: string | undefined,
  ca: string | undefined,
): Promise<{ readonly status: number; readonly text: string; readonly date: number }> {
  const request = url.protocol === 'https:' ? requestHttps : requestHttp;
  const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  const options =
    body === undefined
      ? { method: 'GET' }
      : {
          method: 'POST',
          headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
        };
  return new Promise((resolve, reject) => {
    const sent = request(url, { ...options, agent: false, signal, ...(ca !== undefined && { ca }) });
    sent.on('error', (error) => reject(signal.aborted ? new Error('no response within 15 s') : error));
    sent.on('response', (response) => {
      const date = Date.parse(response.headers.date ?? '') || Date.now();
      readText(response).then((text) => resolve({ status: response.statusCode ?? 0, text, date }), reject);
    });
    sent.end(body);
  });
}

/** For a name with several IP addresses, the error only collects one error for each. */
function reasonOf(error: unknown): string {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  return messageOf(first);
}

function hint(error: unknown, { protocol, port }: URL, ca: string | undefined, inPod: string): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ECONNREFUSED' || code === 'ENOTFOUND' || error instanceof AggregateError) {
    const local = port || (protocol === 'https:' ? '443' : '80');
    const ports = local === inPod ? inPod : `${local}:${inPod}`;
    const through = `kubectl -n image-swapper port-forward deploy/image-swapper ${ports}`;
    return `; is the service running there? To reach a service in a cluster, run: ${through}`;
  }
  return protocol === 'https:' && ca === undefined ? '; for a private CA, set --ca-file' : '';
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = parseBoundedJson(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

async function readCa(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CliError(EXIT.usage, `--ca-file ${file}: ${unreadable(error)}`);
  }
}
