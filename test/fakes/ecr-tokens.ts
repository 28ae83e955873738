import { randomBytes } from 'node:crypto';

export interface RegistryToken {
  /** ARN of the owner. */
  readonly arn: string;
  /** The region that issued the token; `public` for ECR Public. */
  readonly region: string;
  readonly expires: number;
}

export type TokenState = 'valid' | 'expired' | 'unknown';

/** The registry passwords that were issued. */
export class RegistryTokens {
  readonly #given = new Map<string, RegistryToken>();
  /** Lifetime of new tokens in milliseconds. */
  life = 12 * 60 * 60 * 1000;

  /** The members of AWS's `authorizationData`. */
  issue(arn: string, region: string): { readonly authorizationToken: string; readonly expiresAt: number } {
    // AWS's passwords have this length, and must fit into a header.
    const password = randomBytes(1400).toString('base64');
    const expires = Date.now() + this.life;
    this.#given.set(password, { arn, region, expires });
    return { authorizationToken: Buffer.from(`AWS:${password}`).toString('base64'), expiresAt: expires / 1000 };
  }

  find(password: string): RegistryToken | undefined {
    return this.#given.get(password);
  }

  /** Returns all passwords. */
  all(): string[] {
    return [...this.#given.keys()];
  }

  state(password: string): TokenState {
    const token = this.#given.get(password);
    if (token === undefined) return 'unknown';
    return token.expires > Date.now() ? 'valid' : 'expired';
  }

  /** Invalidates all tokens issued so far. */
  expireAll(): void {
    for (const [password, token] of this.#given) this.#given.set(password, { ...token, expires: 0 });
  }
}
