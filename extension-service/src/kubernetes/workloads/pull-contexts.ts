import type { PullContext } from '../../core/decide/mirror-job.js';

/** One object for each way of pulling that something in the cluster has, however many have it. */
export class PullContexts {
  private readonly known = new Map<string, { readonly context: PullContext; holders: number }>();

  get size(): number {
    return this.known.size;
  }

  /** The same object for equal contexts; to be let go once. */
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

/** None of the names can have a line break in it; those of objects that lie do no harm but to themselves. */
function keyOf({ namespace, serviceAccount, secretNames }: PullContext): string {
  return [namespace, serviceAccount, ...secretNames].join('\n');
}
