import type { Config } from '../../core/config/model.js';
import type { CompiledFilter } from '../../core/filters/compile.js';
import type { Dialect } from '../dialect.js';
import { reportAt } from '../issues.js';
import type { Parsed } from '../../schema/parsed.js';
import type { KeyPath, RuleScope } from '../../schema/rule-scope.js';
import type { ConfigProblem, Place, Problems } from '../problem.js';
import type { MappingNode, Path } from '../tree.js';
import { formatPath, nodeAt, placeAt } from '../tree.js';

/** `compileFilter` of core/filters. */
export type CompileExpression = (expression: string, index: number) => CompiledFilter;

/** The configuration as the schema read it. */
export interface ParsedConfig {
  /** The keys that parsed, with defaults; a rule about a key that did not parse has nothing to check. */
  readonly config: Parsed<Config>;
  /** The places where the schema found problems. */
  readonly refused: readonly Path[];
}

/** The input of rules about several keys, and their way to report problems. */
export class RuleContext {
  readonly config: Parsed<Config>;
  readonly #refused: readonly Path[];

  constructor(
    { config, refused }: ParsedConfig,
    private readonly tree: MappingNode,
    readonly dialect: Dialect,
    private readonly problems: Problems,
    readonly compile: CompileExpression,
  ) {
    this.config = config;
    this.#refused = refused;
  }

  /** The file, line and column of the key's value; of its nearest parent if it is not written. */
  place(path: Path): Place {
    return placeAt(this.tree, path);
  }

  /** Whether the key is written, in the file, the environment or a flag, rather than a default. */
  isWritten(path: Path): boolean {
    return nodeAt(this.tree, path) !== undefined;
  }

  /** The same for a rule about one mapping, which knows neither its path nor the other keys. */
  within(base: Path): RuleScope {
    const at = (path: KeyPath): Path => [...base, ...path];
    return {
      dialect: this.dialect,
      isWritten: (path) => this.isWritten(at(path)),
      error: (path, ...what) => this.error(at(path), ...what),
      warn: (path, ...what) => this.warn(at(path), ...what),
      report: (severity, path, ...what) => this.report(severity, at(path), ...what),
      missing: (path, neededBy, ...what) => this.missing(at(path), at(neededBy), ...what),
    };
  }

  /** Whether the schema accepts the value at the path and all its content. */
  isComplete(path: Path): boolean {
    const shared = (other: Path): boolean => {
      const length = Math.min(path.length, other.length);
      return path.slice(0, length).every((part, index) => part === other[index]);
    };
    return !this.#refused.some(shared);
  }

  /** Whether an error about the key, or about its content, was already reported. */
  hasError(path: Path): boolean {
    return this.problems.hasError(formatPath(path));
  }

  error(path: Path, message: string, allowed?: string): void {
    this.report('error', path, message, allowed);
  }

  warn(path: Path, message: string, allowed?: string): void {
    this.report('warning', path, message, allowed);
  }

  report(severity: ConfigProblem['severity'], path: Path, message: string, allowed?: string): void {
    this.problems.add(severity, this.place(path), formatPath(path), message, allowed);
  }

  /** A missing key that another one needs, reported at the other key. */
  missing(path: Path, neededBy: Path, message: string, allowed?: string): void {
    this.problems.error(this.place(neededBy), formatPath(path), message, allowed);
  }

  /** A problem at a character of the text at the path; `offset` counts from 0. */
  reportAt(severity: ConfigProblem['severity'], path: Path, offset: number, message: string): void {
    reportAt(this.problems, severity, this.tree, path, message, undefined, offset);
  }
}
