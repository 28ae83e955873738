import { createHash } from 'node:crypto';

/** The user of a token; undefined if it is not valid for the audience. Rejects if there is no answer. */
export type ReviewToken = (token: string, audience: string) => Promise<string | undefined>;

const MAX_VALID_MS = 5 * 60_000;
/** A token may have been rejected only because the API server's state was outdated. */
const MAX_INVALID_MS = 10_000;
const MAX_TOKENS = 1_000;
/** The API server's own tokens have about a thousand characters. */
const MAX_TOKEN_LENGTH = 16_384;
/** Maximum parallel reviews: invented tokens must not flood the API server. */
const MAX_REVIEWS = 16;

interface Known {
  readonly until: number;
  readonly user: string | undefined;
}

/** Too many tokens are being reviewed, or the API server does not answer. */
export class TokenReviewError extends Error {
  override readonly name = 'TokenReviewError';
}

/** Caches reviews by the tokens' hashes; each token is reviewed once at a time. */
export class TokenReviews {
  private readonly known = new Map<string, Known>();
  private readonly running = new Map<string, Promise<string | undefined>>();

  constructor(
    private readonly review: ReviewToken,
    private readonly now: () => number,
  ) {}

  /** @throws TokenReviewError */
  async user(token: string, audience: string): Promise<string | undefined> {
    if (token === '' || token.length > MAX_TOKEN_LENGTH) return undefined;
    const key = createHash('sha256').update(`${audience}\n${token}`).digest('base64');
    const known = this.known.get(key);
    if (known !== undefined && known.until > this.now()) return known.user;
    const running = this.running.get(key) ?? this.start(key, token, audience);
    return running;
  }

  private start(key: string, token: string, audience: string): Promise<string | undefined> {
    if (this.running.size >= MAX_REVIEWS)
      return Promise.reject(new TokenReviewError('too many tokens at once; try again'));
    const running = this.ask(key, token, audience).finally(() => this.running.delete(key));
    this.running.set(key, running);
    return running;
  }

  private async ask(key: string, token: string, audience: string): Promise<string | undefined> {
    try {
      const user = await this.review(token, audience);
      this.remember(key, { user, until: this.now() + (user === undefined ? MAX_INVALID_MS : MAX_VALID_MS) });
      return user;
    } catch (error) {
      throw new TokenReviewError(error instanceof Error ? error.message : 'the token could not be reviewed');
    }
  }

  /** Drops a rejected token first, so that clients cannot evict valid tokens with invented ones. */
  private remember(key: string, known: Known): void {
    this.known.delete(key);
    if (this.known.size >= MAX_TOKENS) {
      const oldest = [...this.known].find(([, { user }]) => user === undefined) ?? [...this.known][0];
      if (oldest !== undefined) this.known.delete(oldest[0]);
    }
    this.known.set(key, known);
  }
}
