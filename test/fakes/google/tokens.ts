import { randomBytes } from 'node:crypto';

/** The access tokens of all of Google's fakes, with their owner and expiry. */
export class GoogleTokens {
  readonly #tokens = new Map<string, { readonly identity: string; readonly expires: number }>();

  issue(identity: string, seconds: number): string {
    // Google's tokens have the same length and characters.
    const token = `ya29.${randomBytes(60).toString('base64url')}...`;
    this.#tokens.set(token, { identity, expires: Date.now() + seconds * 1_000 });
    return token;
  }

  identityOf(token: string): string | undefined {
    const found = this.#tokens.get(token);
    return found !== undefined && found.expires > Date.now() ? found.identity : undefined;
  }

  /** Returns the owner of the token in an `Authorization: Bearer` header. */
  bearerOf(authorization: string | undefined): string | undefined {
    return authorization?.startsWith('Bearer ') === true ? this.identityOf(authorization.slice(7)) : undefined;
  }

  revokeAll(): void {
    this.#tokens.clear();
  }

  /** Every token ever issued, to search for in logs. */
  all(): readonly string[] {
    return [...this.#tokens.keys()];
  }
}
