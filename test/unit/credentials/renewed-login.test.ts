import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RenewedLogin } from '../../../extension-service/src/credentials/renewed-login.js';
import type { RegistryLogin, RenewedLoginOptions } from '../../../extension-service/src/credentials/renewed-login.js';
import type { LoginCredentials, PasswordCredentials } from '../../../extension-service/src/registry/types.js';

const HOUR = 3_600_000;

/** Issues the passwords 1, 2, …, each valid for twelve hours, unless a failure is queued. */
class Issuer {
  readonly asked: (string | undefined)[] = [];
  readonly failures: Error[] = [];
  issued = 0;

  readonly obtain = async (refused?: LoginCredentials): Promise<RegistryLogin<PasswordCredentials>> => {
    this.asked.push(refused && ('password' in refused ? refused.password : refused.identityToken));
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    this.issued += 1;
    return { credentials: { username: 'AWS', password: String(this.issued) }, expires: Date.now() + 12 * HOUR };
  };
}

describe('a renewed login', () => {
  let issuer: Issuer;
  let open: RenewedLogin[];

  beforeEach(() => {
    vi.useFakeTimers();
    issuer = new Issuer();
    open = [];
  });
  afterEach(() => {
    for (const login of open) login.stop();
    vi.useRealTimers();
  });

  function start(options: RenewedLoginOptions = {}): RenewedLogin<PasswordCredentials> {
    const login = new RenewedLogin(issuer.obtain, { random: () => 1, ...options });
    open.push(login);
    return login;
  }

  const password = async (login: RenewedLogin<PasswordCredentials>): Promise<string> =>
    (await login.get()).credentials.password;

  it('is requested once for any number of users', async () => {
    const login = start();
    expect(issuer.asked).toHaveLength(0);
    const all = await Promise.all(Array.from({ length: 50 }, () => password(login)));
    expect(new Set(all)).toEqual(new Set(['1']));
    expect(issuer.asked).toHaveLength(1);
  });

  it('is renewed repeatedly after half of its lifetime without a request', async () => {
    const login = start();
    await login.get();
    await vi.advanceTimersByTimeAsync(6 * HOUR - 1);
    expect(issuer.issued).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(issuer.issued).toBe(2);
    await vi.advanceTimersByTimeAsync(30 * HOUR);
    expect(issuer.issued).toBe(7);
    expect(await password(login)).toBe('7');
  });

  it('keeps the previous one while the renewal fails, and retries indefinitely', async () => {
    const failed: unknown[] = [];
    const login = start({ onFailed: (error) => failed.push(error), max: 60_000 });
    await login.get();
    issuer.failures.push(...Array.from({ length: 400 }, () => new Error('down')));
    await vi.advanceTimersByTimeAsync(10 * HOUR);
    expect(await password(login)).toBe('1');
    expect(failed.length).toBeGreaterThan(200);
    await vi.advanceTimersByTimeAsync(20 * HOUR);
    expect(await password(login)).not.toBe('1');
  });

  it('waits longer after each failure, up to the longest pause', async () => {
    issuer.failures.push(...Array.from({ length: 100 }, () => new Error('down')));
    const times: number[] = [];
    const login = start({ base: 1_000, max: 8_000, onFailed: () => times.push(Date.now()) });
    await expect(login.get()).rejects.toThrow('down');
    await vi.advanceTimersByTimeAsync(40_000);
    const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 8_000, 8_000, 8_000]);
  });

  it('returns the last failure at once during a pause, instead of a new request', async () => {
    issuer.failures.push(new Error('no credentials'));
    const login = start({ base: 5_000 });
    await expect(login.get()).rejects.toThrow('no credentials');
    for (let i = 0; i < 100; i++) await expect(login.get()).rejects.toThrow('no credentials');
    expect(issuer.asked).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await password(login)).toBe('1');
  });

  it('is fetched again once when the registry refuses it, unless it is new', async () => {
    const login = start();
    const { credentials } = await login.get();
    expect(login.rejected(credentials)).toBe(false);
    await vi.advanceTimersByTimeAsync(31_000);
    expect(login.rejected(credentials)).toBe(true);
    // Other requests were refused with the same password at the same time.
    expect(login.rejected(credentials)).toBe(true);
    expect(await password(login)).toBe('2');
    expect(issuer.asked).toEqual([undefined, '1']);
    expect(login.rejected({ username: 'AWS', password: 'somebody else' })).toBe(false);
  });

  it('is not used after its expiry', async () => {
    const login = start();
    await login.get();
    issuer.failures.push(...Array.from({ length: 1_000 }, () => new Error('down')));
    await vi.advanceTimersByTimeAsync(12 * HOUR);
    await expect(login.get()).rejects.toThrow('down');
  });

  it('serves more than one request although it seems to have expired, because this clock is ahead', async () => {
    let issued = 0;
    const login = new RenewedLogin(async () => {
      issued += 1;
      return { credentials: { username: 'AWS', password: String(issued) }, expires: Date.now() - HOUR };
    });
    open.push(login);
    for (let i = 0; i < 50; i++) await login.get();
    expect(issued).toBe(1);
    await vi.advanceTimersByTimeAsync(10_000);
    await login.get();
    expect(issued).toBe(2);
  });

  it('reports each renewal, with its expiry, and stops on request', async () => {
    const ends: number[] = [];
    const login = start({ onRenewed: ({ expires }) => ends.push(expires) });
    await login.get();
    expect(ends).toEqual([Date.now() + 12 * HOUR]);
    login.stop();
    await vi.advanceTimersByTimeAsync(100 * HOUR);
    expect(issuer.issued).toBe(1);
  });

  it('replaces only the identity token that a registry refuses', async () => {
    let issued = 0;
    const login = new RenewedLogin(async () => {
      issued += 1;
      return { credentials: { identityToken: `token ${issued}` }, expires: Date.now() + 3 * HOUR };
    });
    open.push(login);
    await login.get();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(login.rejected({ identityToken: 'another' })).toBe(false);
    expect(login.rejected({ identityToken: 'token 1' })).toBe(true);
    expect((await login.get()).credentials).toEqual({ identityToken: 'token 2' });
  });
});
