import { createVerify, generateKeyPairSync } from 'node:crypto';
import type { Hook, HookResult, TlsProxy } from '../tls-proxy.js';
import type { GoogleTokens } from './tokens.js';

export const AUTH_HOSTS = {
  'oauth2.googleapis.com': undefined,
  'sts.googleapis.com': undefined,
  'iamcredentials.googleapis.com': undefined,
} as const;

export interface TokenGrant {
  readonly host: string;
  readonly grant: string;
  readonly identity: string;
}

/**
 * Google's token services behind a TLS proxy: OAuth (keys of service accounts, whose signature is checked, and refresh
 * tokens of users), STS (federation) and IAM credentials (impersonation).
 */
export class AuthServers {
  readonly grants: TokenGrant[] = [];
  /** Refresh tokens of users, by e-mail. */
  readonly refreshTokens = new Map<string, string>();
  /** Identities by the subject tokens that STS accepts. */
  readonly subjectTokens = new Map<string, string>();
  /** The service accounts that each identity may impersonate. */
  readonly impersonators = new Map<string, readonly string[]>();
  readonly #keys = new Map<string, string>();

  constructor(
    private readonly tokens: GoogleTokens,
    proxy: TlsProxy,
  ) {
    proxy.setHook('oauth2.googleapis.com', (request) => this.#oauth(request));
    proxy.setHook('sts.googleapis.com', (request) => this.#sts(request));
    proxy.setHook('iamcredentials.googleapis.com', (request) => this.#impersonate(request));
  }

  /** Creates a key of a service account, in the console's format. */
  keyFile(email: string): Record<string, string> {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    this.#keys.set(email, publicKey);
    return {
      type: 'service_account',
      project_id: 'my-project-123',
      private_key_id: 'f00d',
      private_key: privateKey,
      client_email: email,
      client_id: '1234567890',
      auth_uri: 'https://accounts.google.com/o/oauth2/auth',
      token_uri: 'https://oauth2.googleapis.com/token',
      universe_domain: 'googleapis.com',
    };
  }

  async #oauth(request: Parameters<Hook>[0]): Promise<HookResult> {
    const form = new URLSearchParams((await request.body()).toString());
    const grant = form.get('grant_type') ?? '';
    if (grant === 'refresh_token') {
      const identity = this.refreshTokens.get(form.get('refresh_token') ?? '');
      if (identity === undefined) return refused(400, 'invalid_grant', 'Token has been expired or revoked.');
      return this.#grant(request.host, 'refresh_token', identity);
    }
    const [header = '', claims = '', signature = ''] = (form.get('assertion') ?? '').split('.');
    const { iss = '', scope = '' } = JSON.parse(Buffer.from(claims, 'base64url').toString() || '{}') as {
      iss?: string;
      scope?: string;
    };
    const key = this.#keys.get(iss);
    const valid =
      key !== undefined &&
      createVerify('RSA-SHA256').update(`${header}.${claims}`).verify(key, Buffer.from(signature, 'base64url'));
    if (!valid) return refused(400, 'invalid_grant', 'Invalid JWT Signature.');
    if (scope === '') return refused(400, 'invalid_scope', 'Empty or missing scope not allowed.');
    return this.#grant(request.host, 'jwt-bearer', iss);
  }

  async #sts(request: Parameters<Hook>[0]): Promise<HookResult> {
    const form = new URLSearchParams((await request.body()).toString());
    const identity = this.subjectTokens.get(form.get('subject_token') ?? '');
    if (identity === undefined) return refused(400, 'invalid_grant', 'The given credential is rejected.');
    return this.#grant(request.host, 'token-exchange', identity, {
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    });
  }

  #impersonate({ host, path, headers }: Parameters<Hook>[0]): HookResult {
    const caller = this.tokens.bearerOf(headers.authorization);
    const wanted = /serviceAccounts\/([^/:]+):generateAccessToken$/.exec(path)?.[1] ?? '';
    if (caller === undefined || this.impersonators.get(caller)?.includes(wanted) !== true) {
      const message = `Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).`;
      return json(403, { error: { code: 403, message, status: 'PERMISSION_DENIED' } });
    }
    this.grants.push({ host, grant: `impersonation by ${caller}`, identity: wanted });
    const expireTime = new Date(Date.now() + 3_600_000).toISOString();
    return json(200, { accessToken: this.tokens.issue(wanted, 3_600), expireTime });
  }

  #grant(host: string, grant: string, identity: string, more: object = {}): HookResult {
    this.grants.push({ host, grant, identity });
    const access_token = this.tokens.issue(identity, 3_599);
    return json(200, { access_token, expires_in: 3_599, token_type: 'Bearer', ...more });
  }
}

function refused(status: number, error: string, description: string): HookResult {
  return json(status, { error, error_description: description });
}

function json(status: number, body: object): HookResult {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}
