import { childrenOf } from './ast.js';
import type { Node } from './ast.js';
import { FUNCTIONS, describeArity } from './functions.js';
import { inferTypes } from './infer.js';
import { TYPE_TEXT } from './values.js';

export interface ExpressionWarning {
  /** UTF-16 offset into the expression. */
  readonly offset: number;
  readonly message: string;
}

/**
 * What go-jmespath compiles without a word and only fails on later: unknown functions, a wrong number of arguments, and
 * an expression that gives neither true nor false whatever the Pod.
 */
export function checkExpression(root: Node): readonly ExpressionWarning[] {
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
  const types = inferTypes(root);
  if (types.size > 0 && !types.has('boolean')) {
    const names = [...types].map((type) => TYPE_TEXT[type === 'context' ? 'object' : type]);
    warnings.push({
      offset: root.start,
      message: `the expression can never be true or false: it gives ${[...new Set(names)].sort().join(' or ')}`,
    });
  }
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

/** The same but for case and underscores (`startsWith`), or for one letter more, less, other or swapped. */
function isSimilar(known: string, name: string): boolean {
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
