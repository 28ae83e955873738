import { randomBytes } from 'node:crypto';
import type { HookRequest, HookResult } from '../tls-proxy.js';

export const ENTRA_HOST = 'login.microsoftonline.com';
export const TENANT = '11111111-2222-3333-4444-555555555555';
export const CLIENT = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee';
const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** Microsoft Entra's token endpoint (OAuth 2.0 client credentials with a federated credential). */
export class FakeEntra {
  /** Form fields of the token requests, in the order of arrival. */
  readonly requests: { readonly tenant: string; readonly form: URLSearchParams }[] = [];
  /** The ServiceAccount token that the federated credential accepts. */
  assertion = 'a-token-of-the-service-account';
  readonly #tokens = new Map<string, { readonly tenant: string; readonly audience: string }>();

  readonly hook = async (request: HookRequest): Promise<HookResult> => {
    const [, tenant = '', rest = ''] = /^\/([^/]+)\/(.*)$/.exec(request.path) ?? [];
    if (rest === 'v2.0/.well-known/openid-configuration') return this.#configuration(tenant);
    if (request.method !== 'POST' || rest !== 'oauth2/v2.0/token') return json(404, { error: 'not_found' });
    return this.#token(tenant, new URLSearchParams((await request.body()).toString()));
  };

  /** Returns the identity and audience of a token. */
  grantOf(token: string): { readonly tenant: string; readonly audience: string } | undefined {
    return this.#tokens.get(token);
  }

  /** Every token ever issued, to search for in logs. */
  tokens(): readonly string[] {
    return [...this.#tokens.keys()];
  }

  #configuration(tenant: string): HookResult {
    if (tenant !== TENANT) return unknownTenant(tenant);
    const base = `https://${ENTRA_HOST}/${tenant}`;
    return json(200, {
      issuer: `${base}/v2.0`,
      authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
      token_endpoint: `${base}/oauth2/v2.0/token`,
      jwks_uri: `${base}/discovery/v2.0/keys`,
    });
  }

  #token(tenant: string, form: URLSearchParams): HookResult {
    this.requests.push({ tenant, form });
    if (tenant !== TENANT) return unknownTenant(tenant);
    if (form.get('grant_type') !== 'client_credentials') return refusal('unsupported_grant_type', 'AADSTS70003: no');
    if (form.get('client_id') !== CLIENT) {
      const text = `AADSTS700016: Application with identifier '${form.get('client_id')}' was not found in the directory.`;
      return refusal('unauthorized_client', text);
    }
    if (form.get('client_assertion_type') !== ASSERTION_TYPE) return refusal('invalid_request', 'AADSTS50027: no');
    if (form.get('client_assertion') !== this.assertion) {
      const text = 'AADSTS700213: No matching federated identity record found for presented assertion subject.';
      return refusal('invalid_client', text);
    }
    const [, audience] = /^(https:\/\/\S+)\/\.default(?: |$)/.exec(form.get('scope') ?? '') ?? [];
    if (audience === undefined)
      return refusal('invalid_scope', 'AADSTS70011: The provided value for scope is not valid.');
    const token = `eyJ.${randomBytes(40).toString('base64url')}.entra`;
    this.#tokens.set(token, { tenant, audience });
    return json(200, { token_type: 'Bearer', expires_in: 3599, ext_expires_in: 3599, access_token: token });
  }
}

function unknownTenant(tenant: string): HookResult {
  const text = `AADSTS90002: Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID.`;
  return refusal('invalid_request', text);
}

function refusal(error: string, description: string): HookResult {
  const more = ' Trace ID: 0a0a Correlation ID: 0b0b Timestamp: 2026-01-01 00:00:00Z';
  return json(400, {
    error,
    error_description: description + more,
    error_codes: [Number(/\d+/.exec(description)?.[0])],
  });
}

export function json(status: number, body: object, headers: Record<string, string> = {}): HookResult {
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
}
