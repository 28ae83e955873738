import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { RegistryError } from '../../registry/errors.js';
import type { AccessToken } from './access-token.js';
import { parseBoundedJson } from '../../core/json-bounds.js';

/** Time limit in milliseconds for an answer: GKE's server is slow when a Pod has just started. */
const REQUEST_TIMEOUT_MS = 10_000;
const ANSWER_LIMIT = 64 * 1024;
const NONE =
  'bind the ServiceAccount to a Google service account (Workload Identity), or set a credentials file in ' +
  'gcp.credentialsFile or GOOGLE_APPLICATION_CREDENTIALS';

/**
 * A token of the service account that Google's metadata server provides: GKE's own for Workload Identity, else the
 * node's (cloud.google.com/compute/docs/access/authenticate-workloads). google-auth-library would contact this server,
 * which is local, through HTTPS_PROXY, and on Google's machines wait for its answer forever. It would also remember
 * permanently that the server did not answer, as happens in a Pod's first seconds. So this code contacts it directly,
 * with the same variables.
 *
 * @throws RegistryError with the remedy
 */
export async function metadataToken(
  host: string,
  scopes: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<AccessToken> {
  if (env['METADATA_SERVER_DETECTION'] === 'none') {
    throw problem(host, `there are no Google credentials: ${NONE}`, 'unauthorized');
  }
  const named = env['GCE_METADATA_IP'] || env['GCE_METADATA_HOST'] || '169.254.169.254';
  const base = named.includes('://') ? named : `http://${named}`;
  const url = new URL('/computeMetadata/v1/instance/service-accounts/default/token', base);
  url.searchParams.set('scopes', scopes.join(','));
  let answer: { readonly status: number; readonly flavor: unknown; readonly body: string };
  try {
    answer = await ask(url);
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    const text = `no credentials file is set, and the metadata server at ${url.host} does not answer (${code || message}): ${NONE}`;
    throw problem(host, text, 'unreachable', error);
  }
  const { status, flavor, body } = answer;
  if (flavor !== 'Google')
    throw problem(host, `the server at ${url.host} is not a metadata server: ${NONE}`, 'unauthorized');
  if (status !== 200) {
    const text =
      `no token from the metadata server: HTTP ${status}: ${oneLine(body)}; check the annotation ` +
      'iam.gke.io/gcp-service-account and roles/iam.workloadIdentityUser, or the scopes of the node';
    throw problem(
      host,
      text,
      status === 429 || status >= 500 ? 'server' : status === 403 ? 'forbidden' : 'unauthorized',
    );
  }
  return readToken(host, body);
}

function readToken(host: string, body: string): AccessToken {
  try {
    const { access_token: token, expires_in: seconds } = parseBoundedJson(body) as Readonly<Record<string, unknown>>;
    if (typeof token === 'string' && token !== '' && typeof seconds === 'number') {
      return { token, expires: Date.now() + seconds * 1_000 };
    }
  } catch {
    // The parser's message would quote the token.
  }
  throw problem(host, 'the metadata server answered without a token', 'server');
}

async function ask(url: URL): Promise<{ readonly status: number; readonly flavor: unknown; readonly body: string }> {
  const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    // Never through a proxy, because it is local.
    get(url, { headers: { 'metadata-flavor': 'Google' }, signal, agent: false }, resolve).on('error', (error) =>
      reject(signal.aborted ? new Error(`no answer within ${REQUEST_TIMEOUT_MS} ms`) : error),
    );
  });
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > ANSWER_LIMIT) throw new Error('the response does not end');
    pieces.push(piece);
  }
  const { statusCode: status = 0, headers } = response;
  return { status, flavor: headers['metadata-flavor'], body: Buffer.concat(pieces).toString('utf8') };
}

/** Always retryable, because servers, bindings and roles may come late. */
function problem(host: string, message: string, kind: RegistryError['kind'], cause?: unknown): RegistryError {
  return new RegistryError(message, {
    kind,
    host,
    retryable: true,
    advised: true,
    ...(cause !== undefined && { cause }),
  });
}

function oneLine(text: string): string {
  return text
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .slice(0, 300);
}
