import type { PullContext } from '../../core/decide/mirror-job.js';

/** Shares one object among all users with the same pull context. */
export class PullContexts {
  private readonly known = new Map<string, { readonly context: PullContext; holders: number }>();

  get size(): number {
    return this.known.size;
  }

  /** The same object for equal contexts; release it once per call. */
  hold(context: PullContext): PullContext {
    const key = keyOf(context);
    let entry = this.known.get(key);
    if (entry === undefined) {
      entry = { context, holders: 0 };
      this.known.set(key, entry);
    }
    entry.holders += 1;
    return entry.context;
  }

  release(context: PullContext): void {
    const key = keyOf(context);
    const entry = this.known.get(key);
    if (entry === undefined) return;
    entry.holders -= 1;
    if (entry.holders === 0) this.known.delete(key);
  }
}

export function samePull(a: PullContext | undefined, b: PullContext | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a === b || keyOf(a) === keyOf(b);
}

/** Valid names contain no line break; objects with invalid names only harm themselves. */
function keyOf({ namespace, serviceAccount, secretNames }: PullContext): string {
  return [namespace, serviceAccount, ...secretNames].join('\n');
}
