import type { KubeConfig } from '@kubernetes/client-node';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { RequestOptions } from 'node:https';
import { isObject } from '../../core/decide/pod.js';
import type { JsonObject } from '../../core/decide/pod.js';
import { parseBoundedJson } from '../../core/json-bounds.js';

/** A response of the API server that is not one of the requested objects. */
export class ApiStatusError extends Error {
  override readonly name = 'ApiStatusError';
  /** Milliseconds that the API server asked us to wait. */
  readonly retryAfter: number | undefined;

  constructor(
    /** HTTP status; 0 if there was no response. */
    readonly code: number,
    message: string,
    options?: ErrorOptions & { readonly retryAfter?: number },
  ) {
    super(message, options);
    this.retryAfter = options?.retryAfter;
  }
}

/** The page exceeds the byte limit. */
export class PageTooLargeError extends ApiStatusError {}

/** A page of a list in the API server's form: filters read any field, so nothing is converted to classes. */
export interface ListPage {
  readonly items: readonly JsonObject[];
  readonly resourceVersion: string;
  /** The token for the next page. */
  readonly next?: string;
}

/** Reads lists of the API server page by page. */
export interface ClusterLists {
  /** @throws ApiStatusError */
  page(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): Promise<ListPage>;
}

/** Milliseconds without a byte after which a list is aborted. */
const IDLE_TIMEOUT_MS = 60_000;
/**
 * Maximum bytes of a page, whose objects take about three times as much memory; one object has at most 1.5 MB in etcd.
 */
const MAX_BODY_BYTES = 32 * 1_024 * 1_024;

/** With the address, certificates and credentials of a kubeconfig or of the Pod. */
export function clusterLists(config: KubeConfig, largest = MAX_BODY_BYTES): ClusterLists {
  return {
    async page(path, query, signal) {
      const list = await getJson(config, path, query, { signal, largest });
      // An empty list would mean that all objects are gone.
      if (!Array.isArray(list['items'])) throw new ApiStatusError(0, `${path}: the response is not a list`);
      const metadata = isObject(list['metadata']) ? list['metadata'] : {};
      const { resourceVersion, continue: next } = metadata;
      return {
        items: list['items'].filter(isObject),
        resourceVersion: typeof resourceVersion === 'string' ? resourceVersion : '',
        ...(typeof next === 'string' && next !== '' && { next }),
      };
    },
  };
}

async function getJson(
  config: KubeConfig,
  path: string,
  query: Readonly<Record<string, string>>,
  { signal, largest }: { readonly signal: AbortSignal; readonly largest: number },
): Promise<JsonObject> {
  const server = config.getCurrentCluster()?.server;
  if (server === undefined) throw new ApiStatusError(0, 'the kubeconfig has no cluster');
  const url = new URL(server.replace(/\/$/, '') + path);
  for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
  const options: RequestOptions = { headers: { accept: 'application/json' } };
  await config.applyToHTTPSOptions(options);
  const { status, text, retryAfter } = await send(url, { ...options, signal }, largest);
  let body: unknown;
  try {
    body = parseBoundedJson(text);
  } catch (error) {
    if (status === 200) throw new ApiStatusError(0, `${path}: the response is not JSON`, { cause: error });
  }
  if (status === 200 && isObject(body)) return body;
  const reason = isObject(body) && typeof body['message'] === 'string' ? body['message'].slice(0, 300) : '';
  throw new ApiStatusError(status, `${path}: status ${status}${reason === '' ? '' : `: ${reason}`}`, {
    ...(retryAfter !== undefined && { retryAfter }),
  });
}

interface Answer {
  readonly status: number;
  readonly text: string;
  /** Milliseconds. */
  readonly retryAfter?: number;
}

function send(url: URL, options: RequestOptions, largest: number): Promise<Answer> {
  const request = url.protocol === 'http:' ? httpRequest : httpsRequest;
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void =>
      reject(
        new ApiStatusError(0, `${url.pathname}: the API server at ${url.host}: ${error.message}`, { cause: error }),
      );
    const tooLarge = (): void =>
      reject(new PageTooLargeError(0, `${url.pathname}: a page of the list has more than ${largest} bytes`));
    const outgoing = request(url, options, (response) => {
      // Texts are collected by V8; buffers of this size would fragment the memory of malloc, which does not return it.
      response.setEncoding('utf8');
      let text = '';
      let bytes = 0;
      response.on('data', (chunk: string) => {
        text += chunk;
        bytes += Buffer.byteLength(chunk);
        if (bytes <= largest) return;
        tooLarge();
        response.destroy();
      });
      response.on('error', fail);
      response.on('end', () => {
        const seconds = Number(response.headers['retry-after']);
        resolve({
          status: response.statusCode ?? 0,
          text,
          ...(seconds > 0 && { retryAfter: seconds * 1_000 }),
        });
      });
      response.on('close', () => fail(new Error('the connection was closed')));
    });
    outgoing.setTimeout(IDLE_TIMEOUT_MS, () =>
      outgoing.destroy(new Error(`no response for ${IDLE_TIMEOUT_MS / 1_000} s`)),
    );
    outgoing.on('error', fail);
    outgoing.end();
  });
}
