import { childrenOf } from './ast.js';
import type { Node } from './ast.js';
import type { FunctionEntry } from './functions.js';
import { inferTypes } from './infer.js';
import { baseOf, baseTypes, shapeOf } from './shapes.js';
import type { PossibleTypes } from './shapes.js';
import { isSimilar } from './similar.js';
import { TYPE_TEXT } from './values.js';
import type { TypeName } from './values.js';
import type { ExpressionWarning } from './warning.js';

type FieldNode = Extract<Node, { kind: 'field' }>;

/**
 * Mistakes that follow from the structure of a Pod: each makes a part of the expression constant, or the whole
 * expression never a boolean.
 */
export function checkMeaning(root: Node, expression: string): readonly ExpressionWarning[] {
  const warnings = new Map<number, string>();
  const report = (offset: number, message: string | undefined): void => {
    if (message !== undefined && !warnings.has(offset)) warnings.set(offset, message);
  };
  const values = standaloneFields(root);
  const types = inferTypes(root, {
    field: (node, input) => {
      const text = expression.slice(node.start, node.end);
      report(node.start, checkField({ node, text, isValue: values.has(node) }, input));
    },
    comparison: (node, left, right) => report(node.start, checkComparison(node.operator, left, right)),
    call: (node, entry, args) => report(node.nameStart, checkArguments(node.name, entry, args)),
  });
  for (const node of quotedStrings(root, expression)) {
    report(node.start, quotesAdvice(expression.slice(node.start, node.end), node.name));
  }
  const found = [...warnings].map(([offset, message]) => ({ offset, message }));
  if (types.size === 0 || types.has('boolean')) return found;
  const given = `${describeTypes(types)}${suggestion(root, types)}`;
  return [...found, { offset: root.start, message: `the expression can never be true or false: it returns ${given}` }];
}

interface WrittenField {
  readonly node: FieldNode;
  /** As written, with its quotes. */
  readonly text: string;
  /** Whether it is used alone as a value, so that a string was probably meant. */
  readonly isValue: boolean;
}

function checkField({ node: { name }, text, isValue }: WrittenField, input: PossibleTypes): string | undefined {
  const shapes = [...input].filter((type) => type !== 'null').map(shapeOf);
  const [shape] = shapes;
  if (shapes.length !== 1 || shape === undefined || shape.fields.has(name)) return undefined;
  if (shape.is === 'array') {
    return `${shape.title} has no field ${text}: use [*].${text} for all items, or [?…] to select some`;
  }
  const isRoot = input.has('context');
  // An unquoted `null` is a field that does not exist, so it is null, as its author meant.
  if (isRoot && text === 'null') return undefined;
  const known = [...shape.fields.keys()];
  const similar = known.find((field) => (shape.closed ? isSimilar(field, name) : isSameButForCase(field, name)));
  if (similar !== undefined) return `${shape.title} has no field ${text}: did you mean ${similar}?`;
  if (!shape.closed) return undefined;
  if (!isRoot) return `${shape.title} has no field ${text}${atOtherPath(name)}`;
  if (text === 'true' || text === 'false') return `${text} is a field here, and it does not exist: write \`${text}\``;
  if (isValue) return quotesAdvice(text, name);
  return `there is no ${text} here: the root has obj (the Pod) and container${atOtherPath(name)}`;
}

/** Where a Pod has a field with this name: `: did you mean obj.metadata.namespace?` */
function atOtherPath(name: string): string {
  const places = { obj: 'pod', 'obj.metadata': 'metadata', container: 'container', 'obj.spec': 'spec' } as const;
  const place = Object.entries(places).find(([, shape]) => shapeOf(shape)?.fields.has(name))?.[0];
  return place === undefined ? '' : `: did you mean ${place}.${name}?`;
}

function isSameButForCase(known: string, name: string): boolean {
  return known !== name && known.toLowerCase() === name.toLowerCase();
}

function quotesAdvice(text: string, name: string): string {
  const why = text.startsWith('"') ? 'because of its double quotes' : 'because it has no quotes';
  return `${text} is a field, not a string, ${why}: write '${name.replaceAll("'", "\\'")}'`;
}

function checkComparison(operator: string, left: PossibleTypes, right: PossibleTypes): string | undefined {
  if (operator !== '==' && operator !== '!=') return undefined;
  const [a, b] = [baseTypes(left), baseTypes(right)];
  // A side that is always null is a field that does not exist, which has its own message.
  if (a.size === 0 || b.size === 0 || isOnlyNull(a) || isOnlyNull(b)) return undefined;
  if ([...a].some((type) => b.has(type))) return undefined;
  const always = operator === '==' ? 'false' : 'true';
  const hint = [a, b].some((side) => side.has('string')) ? ": write strings as '…'" : '';
  return `the comparison is always ${always}: ${describeTypes(left)} never equals ${describeTypes(right)}${hint}`;
}

function checkArguments(name: string, entry: FunctionEntry, args: readonly PossibleTypes[]): string | undefined {
  if (entry.variadic) return undefined;
  for (const [index, accepted] of entry.parameters.entries()) {
    const given = baseTypes(args[index] ?? new Set());
    if (given.size === 0 || isOnlyNull(given) || accepted.includes('any')) continue;
    const wanted = accepted.map((type) => (type === 'numbers' || type === 'strings' ? 'array' : (type as TypeName)));
    if (wanted.some((type) => given.has(type))) continue;
    const needed = [...new Set(wanted.map((type) => TYPE_TEXT[type]))].join(' or ');
    return `${name}() always fails: it needs ${needed} as argument ${index + 1}, not ${describeTypes(given)}`;
  }
  return undefined;
}

/** Fields that are used as a value by themselves: one side of a comparison, an argument, or an element of a list. */
function standaloneFields(root: Node): ReadonlySet<Node> {
  const found = new Set<Node>();
  visit(root, (node) => {
    if (node.kind === 'comparison' || node.kind === 'list' || node.kind === 'call') {
      for (const child of childrenOf(node)) if (child.kind === 'field') found.add(child);
    }
  });
  return found;
}

const TEXT_FUNCTIONS: ReadonlySet<string> = new Set(['contains', 'starts_with', 'ends_with']);

/**
 * Quoted fields in conditions such as `[?name == "nginx"]` that were meant as strings: on the right side of a
 * comparison with a field, or as the text to search for. No list element in a Pod has a field that needs quotes.
 */
function quotedStrings(root: Node, expression: string): readonly FieldNode[] {
  const found: FieldNode[] = [];
  const add = (node: Node | undefined): void => {
    if (node?.kind === 'field' && expression[node.start] === '"') found.push(node);
  };
  visit(root, (node) => {
    if (node.kind !== 'filterProjection') return;
    visit(node.condition, (part) => {
      if (part.kind === 'comparison' && part.left.kind !== 'literal') add(part.right);
      if (part.kind === 'call' && TEXT_FUNCTIONS.has(part.name)) add(part.arguments[1]);
    });
  });
  return found;
}

function visit(root: Node, callback: (node: Node) => void): void {
  const pending: Node[] = [root];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    callback(node);
    pending.push(...childrenOf(node));
  }
}

function isOnlyNull(types: ReadonlySet<TypeName>): boolean {
  return types.size === 1 && types.has('null');
}

function describeTypes(types: PossibleTypes): string {
  return [...new Set([...types].map((type) => TYPE_TEXT[baseOf(type)]))].sort().join(' or ');
}

/** Advice for a path to a string that is used alone. */
function suggestion(root: Node, types: PossibleTypes): string {
  const isPath = root.kind === 'chain' && root.right.kind === 'field';
  return isPath && types.has('string') && !types.has('array') ? "; compare it with == '…'" : '';
}
