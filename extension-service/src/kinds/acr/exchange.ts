import type { RegistryLogin } from '../../credentials/renewed-login.js';
import type { IdentityTokenCredentials } from '../../registry/types.js';
import { RegistryError } from '../../registry/errors.js';
import { azureLoginServerOf } from '../../core/image/azure-endpoints.js';
import { invalid, networkError, readBody, statusError } from '../../registry/transport/answers.js';
import type { RequestInfo } from '../../registry/transport/answers.js';
import { Http } from '../../registry/transport/http.js';
import type { CloudNetwork } from '../trusting-agent.js';
import type { Identity } from './identity.js';
import { exchangeProblem } from './problems.js';
import { parseBoundedJson } from '../../core/json-bounds.js';

const MAX_ANSWER_BYTES = 64 * 1024;
const EXCHANGE_TIMEOUT_MS = 30_000;
/** Lifetime of Azure's refresh tokens, if the token does not contain it. */
const REFRESH_TOKEN_LIFE_MS = 3 * 3_600_000;

/** Exchanges Microsoft Entra tokens for the registry's refresh tokens (azure.github.io/acr/AAD-OAuth.html). */
export class TokenExchange {
  readonly #http: Http;

  constructor(
    private readonly host: string,
    { proxy, added }: CloudNetwork,
  ) {
    this.#http = new Http({ proxy, added });
  }

  /**
   * POST /oauth2/exchange to the registry itself, over verified HTTPS; redirects are rejected.
   *
   * @throws RegistryError with the tenant and the client if the registry rejects the token
   */
  async refreshToken(identity: Identity, accessToken: string): Promise<RegistryLogin<IdentityTokenCredentials>> {
    const { host } = this;
    const asked: RequestInfo = { host, method: 'POST', url: new URL(`https://${host}/oauth2/exchange`) };
    // A regional endpoint knows the registry by its global name, as its challenges show.
    const service = azureLoginServerOf(host);
    const form = new URLSearchParams({ grant_type: 'access_token', service, tenant: identity.tenantId });
    form.set('access_token', accessToken);
    const signal = AbortSignal.timeout(EXCHANGE_TIMEOUT_MS);
    const asOf = Date.now();
    const response = await this.#http
      .send({
        ...asked,
        headers: {
          accept: 'application/json',
          'content-type': 'application/x-www-form-urlencoded',
          'user-agent': 'image-swapper',
        },
        body: Buffer.from(form.toString()),
        policy: { key: 'trusted', refusal: () => undefined },
        tls: { verify: true },
        signal,
      })
      .catch((error: unknown) => {
        throw networkError(error, asked);
      });
    if (response.statusCode !== 200) throw exchangeProblem(await statusError(response, asked, asOf), identity);
    const token = tokenOf(await readBody(response, MAX_ANSWER_BYTES, asked, signal), asked);
    return { credentials: { identityToken: token }, expires: expiryOf(token) ?? asOf + REFRESH_TOKEN_LIFE_MS };
  }

  /** Closes every connection. */
  close(): void {
    this.#http.close();
  }
}

function tokenOf(body: Buffer, asked: RequestInfo): string {
  let token: unknown;
  try {
    token = (parseBoundedJson(body.toString('utf8')) as { refresh_token?: unknown } | null)?.refresh_token;
  } catch {
    // The parser's message would quote the token.
    token = undefined;
  }
  if (typeof token === 'string' && token !== '' && !/\s/.test(token)) return token;
  const { message, host, request } = invalid(asked, 'the registry answered without a refresh token');
  throw new RegistryError(message, {
    kind: 'invalid',
    host,
    retryable: true,
    ...(request !== undefined && { request }),
  });
}

/** The expiry of a JSON Web Token (RFC 7519, `exp`) in milliseconds; undefined if absent. Nothing is verified. */
export function expiryOf(token: string): number | undefined {
  try {
    const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8');
    const { exp } = parseBoundedJson(payload) as { exp?: unknown };
    return typeof exp === 'number' && Number.isFinite(exp) && exp > 0 ? exp * 1_000 : undefined;
  } catch {
    return undefined;
  }
}
