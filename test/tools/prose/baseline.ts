import type { Finding } from './lint.js';

/** Findings that a file may still have: path → rule → count. Counts only go down. */
export type Baseline = Readonly<Record<string, Readonly<Record<string, number>>>>;

export function countsOf(findings: readonly Finding[]): Baseline {
  const counts: Record<string, Record<string, number>> = {};
  for (const { path, rule } of findings) {
    const ofFile = (counts[path] ??= {});
    ofFile[rule] = (ofFile[rule] ?? 0) + 1;
  }
  return counts;
}

/** The findings of each file and rule that exceeds the baseline. */
export function aboveBaseline(baseline: Baseline, findings: readonly Finding[]): readonly Finding[] {
  const counts = countsOf(findings);
  return findings.filter(({ path, rule }) => (counts[path]?.[rule] ?? 0) > (baseline[path]?.[rule] ?? 0));
}

/** The baseline with every count lowered to the actual count. Files without findings are removed. */
export function shrinkBaseline(baseline: Baseline, findings: readonly Finding[]): Baseline {
  const counts = countsOf(findings);
  const result: Record<string, Record<string, number>> = {};
  for (const [path, rules] of Object.entries(baseline)) {
    for (const [rule, allowed] of Object.entries(rules)) {
      const left = Math.min(allowed, counts[path]?.[rule] ?? 0);
      if (left > 0) (result[path] ??= {})[rule] = left;
    }
  }
  return result;
}
