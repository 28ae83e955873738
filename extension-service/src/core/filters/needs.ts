import { childrenOf } from './ast.js';
import type { Node } from './ast.js';

/**
 * Whether the expression reads only `container.image` from its context. Gatekeeper sends nothing else, so any other
 * expression cannot be evaluated there. In doubt, returns false.
 */
export function readsOnlyImage(node: Node): boolean {
  switch (node.kind) {
    // A reference is evaluated over the elements of a list, not over the context.
    case 'literal':
    case 'reference':
      return true;
    case 'current':
    case 'field':
    case 'index':
    case 'slice':
      return false;
    case 'chain':
      return isImage(node) || readsOnlyImage(node.left);
    // The rest of the expression reads only the source's elements.
    case 'flatten':
    case 'projection':
    case 'filterProjection':
    case 'valueProjection':
      return readsOnlyImage(node.source);
    case 'comparison':
    case 'or':
    case 'and':
    case 'not':
    case 'list':
    case 'hash':
    case 'call':
      return childrenOf(node).every(readsOnlyImage);
  }
}

function isImage(node: Node): boolean {
  if (node.kind !== 'chain') return false;
  const { left, right } = node;
  return left.kind === 'field' && left.name === 'container' && right.kind === 'field' && right.name === 'image';
}
