/**
 * Whether two names differ by case and underscores (`startsWith`), or by one added, missing, different or swapped
 * letter.
 */
export function isSimilar(known: string, name: string): boolean {
  const [a, b] = [known, name].map((text) => text.toLowerCase().replaceAll('_', '')) as [string, string];
  if (a === b) {
    return true;
  }
  let head = 0;
  while (head < a.length && a[head] === b[head]) {
    head++;
  }
  let tail = 0;
  while (tail < Math.min(a.length, b.length) - head && a.at(-1 - tail) === b.at(-1 - tail)) {
    tail++;
  }
  const [restOfA, restOfB] = [a.slice(head, a.length - tail), b.slice(head, b.length - tail)];
  const swapped = restOfA.length === 2 && restOfB === `${restOfA[1]}${restOfA[0]}`;
  return a.length > 3 && (swapped || Math.max(restOfA.length, restOfB.length) <= 1);
}
