import { readFileSync, readdirSync } from 'node:fs';

export interface ComplianceCase {
  readonly file: string;
  readonly given: unknown;
  readonly expression: string;
  /** Expected result; undefined when an error is expected. */
  readonly result?: unknown;
  /** Expected kind of error: `syntax`, `invalid-type`, `unknown-function`… */
  readonly error?: string;
}

interface Suite {
  readonly given: unknown;
  readonly cases: readonly Omit<ComplianceCase, 'file' | 'given'>[];
}

const FOLDER = new URL('../../fixtures/jmespath-compliance/', import.meta.url);

/** Returns all cases of go-jmespath's compliance suite. */
export function complianceCases(): readonly ComplianceCase[] {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));
  return files.sort().flatMap((file) => {
    const suites = JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as readonly Suite[];
    return suites.flatMap(({ given, cases }) => cases.map((one) => ({ ...one, file, given })));
  });
}
