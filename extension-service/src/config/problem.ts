/** A problem in a configuration, with its place. */
export interface ConfigProblem {
  /** The file as the user named it, or `environment NAME`, `flag --name`. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  /** Dotted: `targets[0].aws.region`. Empty when the key is unknown, as with broken YAML. */
  readonly key: string;
  readonly message: string;
  readonly allowed?: string;
  readonly severity: 'error' | 'warning';
}

/** `file:line:column: key: problem: expected`; a variable or a flag only has a position inside its text. */
export function formatProblem(problem: ConfigProblem): string {
  const { file, line, column, key, message, allowed } = problem;
  const isWhole = line === 1 && column === 1 && NOT_A_FILE.test(file);
  const parts = [isWhole ? file : `${file}:${line}:${column}`, key, message, allowed ?? ''];
  return parts.filter((part) => part !== '').join(': ');
}

/** For problems without a file. */
export const NO_FILE = '(no file)';
const NOT_A_FILE = /^(?:flag|environment) |^\(no file\)$/;

/** The configuration cannot be used; the message has one line for each problem, in file order. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** No file was given or found, and flags and the environment do not make up a configuration. */
export class NoConfigFileError extends ConfigError {}

/** The place of a problem. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Nobody reads more; without a limit, a file full of mistakes would cause a message of many megabytes. */
const problemLimit = 500;

/** Collects all problems, so that one run of the loader reports them together. */
export class Problems {
  readonly #kept = { error: [] as ConfigProblem[], warning: [] as ConfigProblem[] };
  readonly #dropped = { error: 0, warning: 0 };

  error(place: Place, key: string, message: string, allowed?: string): void {
    this.add('error', place, key, message, allowed);
  }

  warning(place: Place, key: string, message: string, allowed?: string): void {
    this.add('warning', place, key, message, allowed);
  }

  add(severity: ConfigProblem['severity'], place: Place, key: string, message: string, allowed?: string): void {
    const { file, line, column } = place;
    if (this.#kept[severity].length >= problemLimit) this.#dropped[severity]++;
    else
      this.#kept[severity].push({
        file,
        line,
        column,
        key,
        message,
        ...(allowed !== undefined && { allowed }),
        severity,
      });
  }

  /** Whether an error about the key, or about its content, was already reported. */
  hasError(key: string): boolean {
    return this.#kept.error.some(
      (problem) => problem.key === key || problem.key.startsWith(`${key}.`) || problem.key.startsWith(`${key}[`),
    );
  }

  /** In file order; problems of flags and the environment come last. */
  list(severity: ConfigProblem['severity'], file: string): readonly ConfigProblem[] {
    const sorted = this.#kept[severity].toSorted(
      (a, b) =>
        Number(a.file !== file) - Number(b.file !== file) ||
        compare(a.file, b.file) ||
        a.line - b.line ||
        a.column - b.column,
    );
    const last = sorted.at(-1);
    const dropped = this.#dropped[severity];
    if (last === undefined || dropped === 0) return sorted;
    return [...sorted, { ...last, key: '', message: `and ${dropped} more problems`, severity }];
  }
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
