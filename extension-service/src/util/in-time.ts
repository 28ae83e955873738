/**
 * The result of the work, or what `late` returns or throws when the work takes longer than this many milliseconds. The
 * work itself continues.
 */
export function inTime<T>(work: Promise<T>, milliseconds: number, late: () => T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, milliseconds)));
  return Promise.race([work, timeout.then(late)]).finally(() => clearTimeout(timer));
}
