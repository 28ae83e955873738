/** Gathers names, each once, and tells them together so many milliseconds after the first. */
export function together(milliseconds: number, tell: (names: readonly string[]) => void): (name: string) => void {
  const names = new Set<string>();
  return (name) => {
    names.add(name);
    if (names.size > 1) return;
    setTimeout(() => {
      const all = [...names];
      names.clear();
      tell(all);
    }, milliseconds).unref();
  };
}
