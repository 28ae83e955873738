/** Maximum parallel requests to sources: in total, for one namespace, to one host. */
const [MAX_ALL, MAX_NAMESPACE, MAX_HOST] = [512, 64, 64];

/** No namespace and no host can take every place: a Pod chooses the host, which may hang. */
export class AccessShares {
  private all = 0;
  private readonly taken = new Map<string, number>();

  /** @returns a function that frees the place; undefined if there is none */
  take(namespace: string, host: string): (() => void) | undefined {
    const shares = [
      ['namespace', namespace, MAX_NAMESPACE],
      ['host', host, MAX_HOST],
    ] as const;
    const isFull = shares.some(([kind, name, most]) => (this.taken.get(`${kind} ${name}`) ?? 0) >= most);
    if (isFull || this.all >= MAX_ALL) return undefined;
    const add = (step: number): void => {
      this.all += step;
      for (const [kind, name] of shares) {
        const left = (this.taken.get(`${kind} ${name}`) ?? 0) + step;
        if (left > 0) this.taken.set(`${kind} ${name}`, left);
        else this.taken.delete(`${kind} ${name}`);
      }
    };
    add(1);
    return () => add(-1);
  }
}
