/** The candidate that the text was probably meant to be: with a few different letters, or only another spelling. */
export function suggest(text: string, candidates: Iterable<string>): string | undefined {
  const wanted = plain(text);
  let best: string | undefined;
  let bestDistance = Math.min(3, Math.floor(wanted.length / 3) + 1);
  for (const candidate of candidates) {
    const distance = editDistance(wanted, plain(candidate), bestDistance);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** ` (did you mean "x"?)`, or nothing. */
export function didYouMean(suggestion: string | undefined): string {
  return suggestion === undefined ? '' : ` (did you mean "${suggestion}"?)`;
}

function plain(text: string): string {
  return text.toLowerCase().replaceAll(/[-_\s]/g, '');
}

/** Damerau-Levenshtein distance of neighbors (a swap of two letters counts once), or `limit` when it is not below. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: readonly number[] = [];
  let previous: readonly number[] = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let cost = Math.min(
        at(previous, column) + 1,
        at(current, column - 1) + 1,
        at(previous, column - 1) + (same ? 0 : 1),
      );
      if (a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        cost = Math.min(cost, at(before, column - 2) + 1);
      }
      current.push(cost);
    }
    before = previous;
    previous = current;
  }
  return Math.min(at(previous, b.length), limit);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Infinity;
}
