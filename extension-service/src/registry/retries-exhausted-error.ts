/** Carries an error past a retry that does not apply to it. */
export class RetriesExhaustedError extends Error {}

/** Marks the failure of something that has its own retries. */
export async function withoutRetry<T>(promise: Promise<T>): Promise<T> {
  return promise.catch((error: unknown) => {
    throw new RetriesExhaustedError('spent', { cause: error });
  });
}
