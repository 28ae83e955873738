import { RegistryClient } from './client.js';
import { registryLabels } from './registry-labels.js';
import type { OnRegistryRequest } from './request-log.js';
import type { PushOptions } from './send-push.js';
import { SinglePosts } from './single-posts.js';
import type { AddedCas } from './transport/added-cas.js';
import { HostGuard, type HostGuardOptions } from './transport/host-guard.js';
import { Http, type Resolve } from './transport/http.js';
import { proxyFromEnvironment } from './transport/proxy.js';
import { DEFAULT_RETRY, DEFAULT_RETRY_TOOLS, type RetryPolicy, type RetryTools } from './transport/retry.js';
import { PaceGates } from './transport/pace-gate.js';
import { Session } from './transport/session.js';
import { TokenSource } from './transport/tokens.js';
import type { Timeouts } from './transport/watchdog.js';
import type { Keychain, RegistryEndpoint } from './types.js';

export interface RegistryFactoryOptions {
  /** Configured targets and sources; any other host is contacted over verified HTTPS, if the guard allows it. */
  readonly endpoints: readonly RegistryEndpoint[];
  readonly hosts: Omit<HostGuardOptions, 'trusted'>;
  /** For HTTP_PROXY, HTTPS_PROXY and NO_PROXY. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly timeouts?: Partial<Timeouts>;
  readonly retry?: Partial<RetryPolicy>;
  readonly retryTools?: RetryTools;
  readonly maxSockets?: number;
  readonly resolve?: Resolve;
  /** CA certificates that the environment adds. */
  readonly added?: AddedCas;
  readonly now?: () => number;
  /** Number of replicas that copy and therefore share a registry's pulls. @default 1 */
  readonly replicas?: () => number;
  /** Called for every request; its `host` is `other` unless it is configured or well-known. */
  readonly onRequest?: OnRegistryRequest;
}

export interface ClientOptions extends Omit<PushOptions, 'session'> {
  /**
   * Whether a 404 may mean that the caller may not see the image: all credentials are then tried, as after a rejection.
   * For reading from sources.
   * @default false
   */
  readonly hidesFromAnonymous?: boolean;
  /**
   * For the registries that this one redirects to.
   * @default the client's own keychain, which is queried for each by its host
   */
  readonly elsewhere?: Keychain;
}

/** With delays of up to five seconds, about half a minute. */
const PACED_ATTEMPTS = 14;

/** Creates clients that share sockets and tokens. */
export class RegistryFactory {
  readonly #options: RegistryFactoryOptions;
  readonly #http: Http;
  readonly #tokens: TokenSource;
  readonly #paces: PaceGates;
  readonly #singlePosts: SinglePosts;
  readonly #guard: HostGuard;
  readonly #endpoints: ReadonlyMap<string, RegistryEndpoint>;
  readonly #now: () => number;
  readonly #onRequest: OnRegistryRequest | undefined;

  /** Throws an Error for a malformed proxy, allow or deny entry. */
  constructor(options: RegistryFactoryOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#paces = new PaceGates(undefined, options.replicas);
    this.#singlePosts = new SinglePosts(this.#now);
    this.#endpoints = new Map(options.endpoints.map((endpoint) => [endpoint.host.toLowerCase(), endpoint]));
    this.#guard = new HostGuard({ ...options.hosts, trusted: [...this.#endpoints.keys()] });
    const { timeouts, maxSockets, resolve, added } = options;
    this.#http = new Http({
      proxy: proxyFromEnvironment(options.env),
      ...(timeouts && { timeouts }),
      ...(maxSockets !== undefined && { maxSockets }),
      ...(resolve && { resolve }),
      ...(added && { added }),
    });
    const { onRequest } = options;
    const label = registryLabels(this.#endpoints.keys());
    this.#onRequest = onRequest && ((request) => onRequest({ ...request, host: label(request.host) }));
    this.#tokens = new TokenSource(this.#http, this.#now, this.#onRequest);
  }

  /**
   * `host` in the form of references. Keep the client while the keychain is the same: it remembers scheme and
   * challenge.
   */
  client(host: string, keychain: Keychain, options: ClientOptions = {}): RegistryClient {
    const { hidesFromAnonymous = false, elsewhere = keychain, ...push } = options;
    const endpoint = this.#endpoints.get(host.toLowerCase()) ?? { host: host.toLowerCase(), insecure: false };
    const session = new Session({
      endpoint,
      keychain,
      elsewhere,
      endpointOf: (other) => this.#endpoints.get(other) ?? this.#endpoints.get(`${other}:443`),
      http: this.#http,
      guard: this.#guard,
      tokens: this.#tokens,
      paces: this.#paces,
      now: this.#now,
      hidesFromAnonymous,
      ...(this.#onRequest && { onRequest: this.#onRequest }),
    });
    const { retry: given } = this.#options;
    // Under a quota that others share, a rejection lasts for seconds and is not a failure.
    const throttledAttempts = push.pacer === undefined ? given?.attempts : PACED_ATTEMPTS;
    const retry = { ...DEFAULT_RETRY, ...(throttledAttempts !== undefined && { throttledAttempts }), ...given };
    const retryTools = this.#options.retryTools ?? DEFAULT_RETRY_TOOLS;
    const { uploadChunk } = endpoint;
    return new RegistryClient({
      ...push,
      ...(uploadChunk !== undefined && { uploadChunk }),
      session,
      retry,
      retryTools,
      singlePosts: this.#singlePosts,
      now: this.#now,
    });
  }

  /** Closes every connection. */
  close(): void {
    this.#http.close();
  }
}
