import { isIP } from 'node:net';
import type { GateWebhookConfig } from '../core/config/model.js';
import { formatDuration } from '../core/config/duration.js';
import { parseBoundedJson } from '../core/json-bounds.js';
import { oneLine, quoteInput } from '../core/image/quote.js';
import { networkError, readBody } from '../registry/transport/answers.js';
import type { RequestInfo } from '../registry/transport/request-info.js';
import { classifyAddress } from '../registry/transport/addresses.js';
import { discard } from '../registry/transport/discard.js';
import type { AddressPolicy } from '../registry/transport/host-guard.js';
import { Http } from '../registry/transport/http.js';
import type { Resolve } from '../registry/transport/http.js';
import { proxyFromEnvironment } from '../registry/transport/proxy.js';
import { RegistryError } from '../registry/errors.js';
import { redactSecrets, rememberSecret } from '../registry/sent-secrets.js';
import { messageOf } from '../util/message-of.js';
import { caCertificatesFault } from './file-faults.js';
import { readText } from './read-text.js';
import { withoutBrackets } from '../util/without-brackets.js';

/** The body of the request. */
export interface GateQuestion {
  /** Fully normalized source reference. */
  readonly reference: string;
  /** The digest of the manifest or index that the reference points to. */
  readonly digest: string;
  /** `os/architecture[/variant]` of the copied platforms; empty if the image does not list any. */
  readonly platforms: readonly string[];
  /** Name of the image's target. */
  readonly target: string;
}

export type WebhookAnswer = { readonly verdict: 'allow' } | { readonly verdict: 'deny'; readonly reason: string };

/** The webhook gave no verdict. The message contains its URL without credentials. */
export class WebhookError extends Error {
  override readonly name = 'WebhookError';
}

const MAX_ANSWER_BYTES = 64 * 1024;
const MAX_REASON = 500;

/**
 * The addresses that an administrator may configure: all except link-local, metadata and reserved ones. This is also
 * checked for each address that a name resolves to.
 */
const POLICY: AddressPolicy = {
  key: 'gate webhook',
  refusal(host, _port, address) {
    const shown = address ?? host;
    const isAddress = isIP(withoutBrackets(shown)) !== 0;
    return isAddress && classifyAddress(shown) === 'special'
      ? `${shown} is a link-local, metadata or reserved address, where the service calls no webhook`
      : undefined;
  },
};

/** Calls one webhook. Each answer is for one digest; redirects are never followed. */
export class GateWebhook {
  private readonly url: URL;
  private readonly headers: Readonly<Record<string, string>>;
  private readonly ca: string | undefined;
  private readonly http: Http;

  /** @throws Error naming the key if the CA file cannot be used */
  constructor(
    private readonly config: GateWebhookConfig,
    env: Readonly<Record<string, string | undefined>>,
    resolve?: Resolve,
  ) {
    const { url, authorization } = withoutLogin(config.url);
    this.url = url;
    this.headers = {
      'content-type': 'application/json',
      accept: 'application/json',
      ...(authorization !== undefined && { authorization }),
    };
    this.ca = config.caFile === undefined ? undefined : readCas(config.caFile);
    this.http = new Http({
      proxy: proxyFromEnvironment(env),
      timeouts: { connect: config.timeout, headers: config.timeout, idle: config.timeout },
      ...(resolve !== undefined && { resolve }),
    });
  }

  /** @throws WebhookError without a verdict, or the signal's abort reason */
  async ask(question: GateQuestion, signal: AbortSignal): Promise<WebhookAnswer> {
    const { url, http, headers, ca } = this;
    const { timeout } = this.config;
    const late = AbortSignal.timeout(timeout);
    const either = AbortSignal.any([signal, late]);
    const asked: RequestInfo = { method: 'POST', url, host: url.host };
    try {
      const response = await http.send({
        ...{ method: 'POST', url, headers, policy: POLICY, signal: either },
        body: Buffer.from(JSON.stringify(question)),
        tls: { verify: true, ...(ca !== undefined && { ca }) },
      });
      const status = response.statusCode ?? 0;
      if (status !== 200) {
        discard(response);
        throw this.problem(
          `answered ${status}${status >= 300 && status < 400 ? ', and redirects are not followed' : ''}`,
        );
      }
      return this.read((await readBody(response, MAX_ANSWER_BYTES, asked, either)).toString('utf8'));
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof WebhookError) throw error;
      if (late.aborted) throw this.problem(`did not answer within ${formatDuration(timeout)}`);
      const known = error instanceof RegistryError ? error : networkError(error, asked);
      throw new WebhookError(`the webhook ${messageOf(known)}`);
    }
  }

  /** Closes every connection. */
  close(): void {
    this.http.close();
  }

  private read(text: string): WebhookAnswer {
    let answer: unknown;
    try {
      answer = parseBoundedJson(text, MAX_ANSWER_BYTES);
    } catch {
      throw this.problem(`answered no JSON: ${quoteInput(redactSecrets(text))}`);
    }
    const { verdict, reason } = (typeof answer === 'object' && answer !== null ? answer : {}) as {
      readonly verdict?: unknown;
      readonly reason?: unknown;
    };
    if (verdict === 'allow') return { verdict };
    if (verdict === 'deny') return { verdict, reason: reasonOf(reason) };
    const allowed = '{"verdict": "allow"} or {"verdict": "deny", "reason": "…"} is expected';
    throw this.problem(`answered ${quoteInput(redactSecrets(text))}: ${allowed}`);
  }

  private problem(message: string): WebhookError {
    return new WebhookError(`the webhook ${this.url.origin}${this.url.pathname} ${message}`);
  }
}

function reasonOf(reason: unknown): string {
  if (typeof reason !== 'string' || reason.trim() === '') return 'the webhook gave no reason';
  const text = oneLine(redactSecrets(reason.trim()));
  return text.length > MAX_REASON ? `${text.slice(0, MAX_REASON)}…` : text;
}

/** A login in the URL is sent in a header, and a query may contain a token: neither is ever shown. */
function withoutLogin(text: string): { readonly url: URL; readonly authorization?: string } {
  const url = new URL(text);
  for (const value of url.searchParams.values()) rememberSecret(value);
  if (url.username === '' && url.password === '') return { url };
  const login = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = '';
  url.password = '';
  return { url, authorization: `Basic ${Buffer.from(login).toString('base64')}` };
}

/** @throws Error for an unreadable file, or one without a certificate */
function readCas(file: string): string {
  const where = `gate.webhook.caFile ${file}`;
  const pem = readText(where, file);
  const fault = caCertificatesFault(pem);
  if (fault === undefined) return pem;
  throw new Error(`${where} ${fault}: a PEM file with CA certificates is required`);
}
