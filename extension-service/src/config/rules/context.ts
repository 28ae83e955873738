import type { CompiledFilter } from '../../core/filters/compile.js';
import type { Dialect } from '../dialect.js';
import type { Problems } from '../problem.js';
import type { MappingNode } from '../tree.js';

/** core/filters' `compileFilter`. */
export type CompileExpression = (expression: string, index: number) => CompiledFilter;

/** What the checks of several keys together get; they run whatever the schema found, so they expect anything. */
export interface RuleContext {
  readonly tree: MappingNode;
  readonly dialect: Dialect;
  readonly problems: Problems;
  readonly compile: CompileExpression;
}
