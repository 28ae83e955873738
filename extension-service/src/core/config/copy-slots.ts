/**
 * Copy slots in addition to `mirror.concurrency`, for namespaces that hold fewer than so many themselves. One namespace
 * alone may use all of `concurrency`; when its copies hang there, the reserve keeps the others going without breaking off
 * anything.
 */
export function reservedSlots(concurrency: number): number {
  return Math.max(1, Math.floor(concurrency / 2));
}

/** Copies that can run at once. */
export function maxCopies(concurrency: number): number {
  return concurrency + reservedSlots(concurrency);
}
