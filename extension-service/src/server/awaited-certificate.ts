import type { ServingPair } from '../kubernetes/serving-certificate/serving-certificate.js';

/** There is no serving certificate yet; the message says why. */
export class NoCertificateError extends Error {
  override readonly name = 'NoCertificateError';
}

/**
 * The serving certificate that the background worker gets from the cluster: awaited at startup, and updated whenever it
 * changes.
 */
export class AwaitedCertificate {
  #latest: ServingPair | undefined;
  private problem: string | undefined;
  private arrived: ((pair: ServingPair) => void) | undefined;

  get latest(): ServingPair | undefined {
    return this.#latest;
  }

  take(pair: ServingPair): void {
    this.#latest = pair;
    this.arrived?.(pair);
  }

  fail(problem: string): void {
    this.problem = problem;
  }

  /** @throws NoCertificateError with the last problem if none arrives in time */
  async first(milliseconds: number): Promise<ServingPair> {
    if (this.#latest !== undefined) return this.#latest;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<ServingPair>((resolve, reject) => {
        this.arrived = resolve;
        timer = setTimeout(() => {
          const why = this.problem ?? 'the cluster did not respond';
          reject(new NoCertificateError(`no serving certificate after ${milliseconds / 1_000} s: ${why}`));
        }, milliseconds);
      });
    } finally {
      clearTimeout(timer);
    }
  }
}
