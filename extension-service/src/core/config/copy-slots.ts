/**
 * Number of copy slots in addition to `mirror.concurrency`, for namespaces that hold fewer slots than this number. One
 * namespace alone may use all of `concurrency`; if its copies hang, the reserve keeps the others going without aborting
 * any copy.
 */
export function reservedSlots(concurrency: number): number {
  return Math.max(1, Math.floor(concurrency / 2));
}

/** Maximum number of parallel copies. */
export function maxCopies(concurrency: number): number {
  return concurrency + reservedSlots(concurrency);
}
