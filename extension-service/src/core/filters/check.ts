import { childrenOf } from './ast.js';
import type { Node } from './ast.js';
import { checkMeaning } from './check-meaning.js';
import { FUNCTIONS, describeArity } from './functions.js';
import { isSimilar } from './similar.js';
import type { ExpressionWarning } from './warning.js';

/**
 * Mistakes that go-jmespath compiles and that only show later, if at all: unknown functions, a wrong number of
 * arguments, fields that no Pod has, comparisons that are never true, and expressions that are never a boolean.
 */
export function checkExpression(root: Node, expression: string): readonly ExpressionWarning[] {
  const warnings: ExpressionWarning[] = [];
  const pending: Node[] = [root];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (node.kind === 'call') {
      const message = checkCall(node.name, node.arguments.length);
      if (message !== undefined) {
        warnings.push({ offset: node.nameStart, message });
      }
    }
    pending.push(...childrenOf(node));
  }
  warnings.push(...checkMeaning(root, expression));
  return warnings.sort((left, right) => left.offset - right.offset);
}

function checkCall(name: string, count: number): string | undefined {
  const entry = FUNCTIONS.get(name);
  if (entry === undefined) {
    const similar = [...FUNCTIONS.keys()].find((known) => isSimilar(known, name));
    return `there is no function ${name}()${similar === undefined ? '' : `, did you mean ${similar}()`}`;
  }
  return entry.takes(count) ? undefined : `${name}() ${describeArity(entry)}, not ${count}`;
}
