import type * as z from 'zod';
import { quoteInput } from '../core/image/quote.js';
import { fieldAt } from '../schema/field.js';
import type { Field, LeafField } from '../schema/field.js';
import type { Problems } from './problem.js';
import { didYouMean, suggest } from './suggest.js';
import type { Path, TreeNode } from './tree.js';
import { formatPath, nodeAt, placeAt } from './tree.js';

/** Reports the schema's findings, in words and with their place in the file. */
export function reportIssues(
  issues: readonly z.core.$ZodIssue[],
  tree: TreeNode,
  root: Field,
  problems: Problems,
  /** The path where the schema was applied. */
  base: Path = [],
): void {
  for (const issue of issues) {
    const path = [...base, ...issue.path.map((part) => (typeof part === 'number' ? part : String(part)))];
    if (issue.code === 'custom') reportCustom(issue, path, tree, problems);
    else reportKind(path, tree, root, problems);
  }
}

function reportCustom(issue: z.core.$ZodIssueCustom, path: Path, tree: TreeNode, problems: Problems): void {
  const { allowed, offset } = (issue.params ?? {}) as { readonly allowed?: string; readonly offset?: number };
  reportAt(problems, 'error', tree, path, issue.message, allowed, offset);
}

/** A problem at a character of a text: reported there if its place is known, otherwise in words. */
export function reportAt(
  problems: Problems,
  severity: 'error' | 'warning',
  tree: TreeNode,
  path: Path,
  message: string,
  allowed?: string,
  offset?: number,
): void {
  const node = nodeAt(tree, path);
  const scalar = node?.kind === 'scalar' ? node : undefined;
  const place = offset === undefined ? undefined : scalar?.locate?.(offset);
  const words = offset === undefined || place !== undefined ? '' : ` (${lineAndColumn(String(scalar?.value), offset)})`;
  problems.add(severity, place ?? placeAt(tree, path), formatPath(path), `${message}${words}`, allowed);
}

function lineAndColumn(text: string, offset: number): string {
  const lines = text.slice(0, offset).split('\n');
  const column = `column ${(lines.at(-1) ?? '').length + 1} of the string`;
  return text.includes('\n') ? `line ${lines.length}, ${column}` : column;
}

/** The value is of the wrong kind, or missing. */
function reportKind(path: Path, tree: TreeNode, root: Field, problems: Problems): void {
  const field = fieldAt(root, path);
  const node = nodeAt(tree, path);
  const place = placeAt(tree, path);
  const key = formatPath(path);
  const allowed = field === undefined ? undefined : allowedOf(field);
  if (node === undefined) {
    problems.error(place, key, 'required', allowed);
    return;
  }
  const text = node.kind === 'scalar' && typeof node.value === 'string' ? node.value : undefined;
  if (field?.kind === 'leaf' && field.choices !== undefined && text !== undefined) {
    const hint = didYouMean(suggest(text, field.choices));
    problems.error(place, key, `${quoteInput(text)} is not valid${hint}`, allowed);
    return;
  }
  const kind = kindOf(node);
  const wantedKind = field === undefined || kind === 'empty' ? '' : `, not ${wantedOf(field)}`;
  problems.error(place, key, `is ${kind}${wantedKind}`, allowed);
}

function kindOf(node: TreeNode): string {
  if (node.kind !== 'scalar') return `a ${node.kind}`;
  switch (typeof node.value) {
    case 'string':
      return node.value === '' ? 'empty' : 'a string';
    case 'number':
      return 'a number';
    case 'boolean':
      return 'a boolean';
    default:
      return 'empty';
  }
}

const wanted: Readonly<Record<LeafField['type'], string>> = {
  text: 'a string',
  digits: 'a string',
  choice: 'a string',
  duration: 'a duration',
  number: 'a number',
  boolean: 'a boolean',
  auto: 'a boolean',
  platforms: 'a list',
};

function wantedOf(field: Field): string {
  return field.kind === 'leaf' ? wanted[field.type] : `a ${field.kind === 'map' ? 'mapping' : field.kind}`;
}

function allowedOf(field: Field): string {
  switch (field.kind) {
    case 'leaf':
      return field.allowed;
    case 'list':
      return 'each entry is a line that begins with "- "';
    case 'map':
      return field.item.kind === 'leaf'
        ? `each entry is key: value; ${field.item.allowed}`
        : 'each entry is key: value';
    case 'mapping':
      return `its keys are ${[...field.fields.keys()].join(', ')}`;
  }
}
