import { randomBytes } from 'node:crypto';

export interface RegistryToken {
  /** The owner. */
  readonly arn: string;
  /** Where it was given out; `public` for ECR Public. */
  readonly region: string;
  readonly expires: number;
}

export type TokenState = 'valid' | 'expired' | 'unknown';

/** The registry passwords that were given out. */
export class RegistryTokens {
  readonly #given = new Map<string, RegistryToken>();
  /** Milliseconds for which further tokens hold. */
  life = 12 * 60 * 60 * 1000;

  /** The members of AWS's `authorizationData`. */
  issue(arn: string, region: string): { readonly authorizationToken: string; readonly expiresAt: number } {
    // As long as AWS's are: they must fit into a header.
    const password = randomBytes(1400).toString('base64');
    const expires = Date.now() + this.life;
    this.#given.set(password, { arn, region, expires });
    return { authorizationToken: Buffer.from(`AWS:${password}`).toString('base64'), expiresAt: expires / 1000 };
  }

  find(password: string): RegistryToken | undefined {
    return this.#given.get(password);
  }

  /** All passwords. */
  all(): string[] {
    return [...this.#given.keys()];
  }

  state(password: string): TokenState {
    const token = this.#given.get(password);
    if (token === undefined) return 'unknown';
    return token.expires > Date.now() ? 'valid' : 'expired';
  }

  /** Ends all tokens given out so far. */
  expireAll(): void {
    for (const [password, token] of this.#given) this.#given.set(password, { ...token, expires: 0 });
  }
}
