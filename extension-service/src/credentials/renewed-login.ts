import type { LoginCredentials } from '../registry/types.js';

/** A login that expires, as the clouds issue for their registries. */
export interface RegistryLogin<C extends LoginCredentials = LoginCredentials> {
  readonly credentials: C;
  /** Its expiry, in milliseconds since the epoch. */
  readonly expires: number;
}

/** Logins for registry clients; a login that was passed to `rejected` is replaced. */
export interface LoginSource {
  /** Rejects with a RegistryError that names the missing setting. */
  get(): Promise<RegistryLogin>;
  /** @returns whether another login may be available */
  rejected(credentials: LoginCredentials): boolean;
  /** Stops the renewal; the current login remains available. */
  stop(): void;
}

export interface RenewedLoginOptions {
  readonly onRenewed?: (login: RegistryLogin) => void;
  readonly onFailed?: (error: unknown) => void;
  readonly now?: () => number;
  readonly random?: () => number;
  /**
   * Delay in milliseconds before the second try, doubled for each further one; a random part of it is waited.
   * @default 1000
   */
  readonly base?: number;
  /** Maximum delay between two tries in milliseconds. @default 300000 */
  readonly max?: number;
}

/** A login is not returned in its last milliseconds: it must still be valid when it arrives. */
const EXPIRY_MARGIN_MS = 10_000;
/** If a registry rejects a login that is this young, in milliseconds, it would also reject a new one. */
const MIN_RENEWAL_AGE_MS = 10_000;
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Requests a login on first use, with one request for all concurrent callers, and renews it after half of its lifetime
 * while the process runs. Failures are retried indefinitely with a backoff, and the previous login is used until it
 * expires. Without a login, callers during a delay get the last failure at once, so that an API that is down does not
 * get a request for every Pod.
 */
export class RenewedLogin<C extends LoginCredentials = LoginCredentials> implements LoginSource {
  #login: (RegistryLogin<C> & { readonly since: number; readonly usableUntil: number }) | undefined;
  #flight: Promise<RegistryLogin<C>> | undefined;
  #failure: { readonly error: unknown; readonly until: number } | undefined;
  #failures = 0;
  #refused: LoginCredentials | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  readonly #now: () => number;
  readonly #random: () => number;

  constructor(
    /** Receives the credentials that a registry has rejected, if any. */
    private readonly obtain: (refused?: LoginCredentials) => Promise<RegistryLogin<C>>,
    private readonly options: RenewedLoginOptions = {},
  ) {
    this.#now = options.now ?? Date.now;
    this.#random = options.random ?? Math.random;
  }

  async get(): Promise<RegistryLogin<C>> {
    const login = this.#login;
    if (login !== undefined && login.usableUntil > this.#now()) return login;
    if (this.#flight === undefined && this.#failure !== undefined && this.#failure.until > this.#now()) {
      throw this.#failure.error;
    }
    return this.#renew();
  }

  rejected(credentials: LoginCredentials): boolean {
    const login = this.#login;
    const secret = secretOf(credentials);
    // Another request was rejected before: the next login is being requested, or already available.
    if (this.#refused !== undefined && secret === secretOf(this.#refused)) return true;
    if (login === undefined || secretOf(login.credentials) !== secret) return false;
    if (this.#now() - login.since < MIN_RENEWAL_AGE_MS) return false;
    this.#login = undefined;
    this.#refused = credentials;
    return true;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #renew(): Promise<RegistryLogin<C>> {
    this.#flight ??= this.#try().finally(() => (this.#flight = undefined));
    return this.#flight;
  }

  async #try(): Promise<RegistryLogin<C>> {
    clearTimeout(this.#timer);
    try {
      const login = await this.obtain(this.#refused);
      const since = this.#now();
      // A new login that seems to have expired shows that this clock is ahead: without a minimum, every request would
      // get a login of its own.
      const usableUntil = Math.max(login.expires - EXPIRY_MARGIN_MS, since + MIN_RENEWAL_AGE_MS);
      this.#login = { ...login, since, usableUntil };
      this.#failure = undefined;
      this.#failures = 0;
      this.options.onRenewed?.(login);
      this.#schedule(Math.max(EXPIRY_MARGIN_MS, (login.expires - since) / 2));
      return login;
    } catch (error) {
      const ceiling = Math.min(this.options.max ?? 300_000, (this.options.base ?? 1_000) * 2 ** this.#failures);
      const pause = Math.round(ceiling * (0.1 + 0.9 * this.#random()));
      this.#failures += 1;
      this.#failure = { error, until: this.#now() + pause };
      this.options.onFailed?.(error);
      this.#schedule(pause);
      throw error;
    }
  }

  #schedule(milliseconds: number): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(
      () => {
        this.#renew().catch(() => undefined);
      },
      Math.min(milliseconds, MAX_TIMER_MS),
    );
    this.#timer.unref();
  }
}

function secretOf(credentials: LoginCredentials): string {
  return 'password' in credentials ? credentials.password : credentials.identityToken;
}
