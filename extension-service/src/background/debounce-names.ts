/** Collects names, each once, and passes them on together `milliseconds` after the first. */
export function debounceNames(milliseconds: number, flush: (names: readonly string[]) => void): (name: string) => void {
  const names = new Set<string>();
  return (name) => {
    names.add(name);
    if (names.size > 1) return;
    setTimeout(() => {
      const all = [...names];
      names.clear();
      flush(all);
    }, milliseconds).unref();
  };
}
