import { LineCounter, isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml';
import type { Document, Node, Pair, YAMLError, YAMLMap } from 'yaml';
import type { Place, Problems } from './problem.js';
import type { Entry, Path, ScalarNode, TreeNode } from './tree.js';
import { formatPath } from './tree.js';
import { indentQuotes } from './yaml-repair.js';
import { offsetInFile } from './yaml-scalar.js';
import type { ScalarStyle } from './yaml-scalar.js';

/** Maximum characters of a configuration: a ConfigMap holds no more. */
export const sizeLimit = 1024 * 1024;
const unknownAnchor = 'this alias has no anchor before it (put a string that begins with * or & in quotes)';
const nodeLimit = 20_000;
/** After a few syntax errors, further ones are mostly consequences of the first. */
const syntaxLimit = 20;
const depthLimit = 64;
const bracketLimit = 200;
const indentLimit = 1_000;

export interface YamlSource {
  readonly text: string;
  readonly file: string;
  /** The origins of values; by default the file and line. */
  readonly origin?: string;
  /** Also accept texts that go-yaml accepts and YAML 1.2 does not. */
  readonly lenient?: boolean;
}

/**
 * Reads YAML 1.2, including aliases and merge keys (`<<`), into a tree with the place of every value. Reports problems
 * to `problems`; returns undefined if the text is empty or cannot be read. Never throws.
 */
export function readYaml(source: YamlSource, problems: Problems): TreeNode | undefined {
  const { text, file } = source;
  const start: Place = { file, line: 1, column: 1 };
  if (text.length > sizeLimit) {
    problems.error(start, '', `the file is too large (${text.length} characters)`, `the maximum is ${sizeLimit}`);
    return undefined;
  }
  const deep = tooDeep(text);
  if (deep !== undefined) {
    problems.error({ file, line: deep, column: 1 }, '', 'YAML is nested too deeply');
    return undefined;
  }
  let parsed = parse(text);
  if (source.lenient === true && parsed !== undefined && parsed.document.errors.length > 0) {
    const repaired = parse(indentQuotes(text));
    if (repaired?.document.errors.length === 0) parsed = repaired;
  }
  if (parsed === undefined) {
    problems.error(start, '', 'not valid YAML');
    return undefined;
  }
  const { document, lines } = parsed;
  const reader = new Reader(lines, { ...source, text: parsed.text }, problems);
  if (document.errors.length > 0 || document.warnings.length > 0) {
    for (const error of [...document.errors, ...document.warnings].slice(0, syntaxLimit)) {
      problems.error(reader.place(afterIndent(parsed.text, error.pos[0])), '', yamlMessage(error));
    }
    return undefined;
  }
  return document.contents === null ? undefined : reader.node(document.contents, []);
}

interface Parsed {
  readonly document: Document.Parsed;
  readonly lines: LineCounter;
  readonly text: string;
}

function parse(text: string): Parsed | undefined {
  const lines = new LineCounter();
  try {
    const options = { lineCounter: lines, prettyErrors: false, uniqueKeys: false, schema: 'core' } as const;
    return { document: parseDocument(text, options), lines, text };
  } catch {
    // The stack overflowed despite the earlier checks.
    return undefined;
  }
}

class Reader {
  #count = 0;
  readonly #open = new Set<Node>();
  /** Up to the current position in the file: the library's own lookup reads the whole file for each alias. */
  readonly #anchors = new Map<string, Node>();

  constructor(
    private readonly lines: LineCounter,
    private readonly source: YamlSource,
    private readonly problems: Problems,
  ) {}

  place(offset: number): Place {
    const { line, col } = this.lines.linePos(offset);
    return { file: this.source.file, line: Math.max(line, 1), column: Math.max(col, 1) };
  }

  /** Undefined if the value cannot be used; the reason is then reported. */
  node(node: Node, path: Path): TreeNode | undefined {
    const place = this.place(node.range?.[0] ?? 0);
    const origin = this.source.origin ?? `${place.file}:${place.line}`;
    const fail = (message: string): undefined => {
      this.problems.error(place, formatPath(path), message);
      return undefined;
    };
    if (++this.#count > nodeLimit) {
      // Reported once: everything after it also exceeds the limit.
      return this.#count === nodeLimit + 1
        ? fail(`there are more than ${nodeLimit} values, counting each use of an alias`)
        : undefined;
    }
    if (path.length > depthLimit) return fail('YAML is nested too deeply');
    if (isAlias(node)) {
      const target = this.#anchors.get(node.source);
      return target === undefined ? fail(unknownAnchor) : this.node(target, path);
    }
    if ('anchor' in node && typeof node.anchor === 'string') this.#anchors.set(node.anchor, node);
    if (isScalar(node)) return this.scalar(node, place, origin) ?? fail('this kind of value is not supported');
    if (this.#open.has(node)) return fail('this alias refers to a value that contains it');
    this.#open.add(node);
    try {
      if (isSeq(node)) {
        const items = node.items.map((item, index) => this.node(item as Node, [...path, index]));
        return { kind: 'list', items: items.filter((item) => item !== undefined), place, origin };
      }
      if (isMap(node)) return { kind: 'mapping', entries: this.entries(node, path), place, origin };
      return fail('this kind of value is not supported');
    } finally {
      this.#open.delete(node);
    }
  }

  private scalar(
    node: Node & { value: unknown; source?: string },
    place: Place,
    origin: string,
  ): ScalarNode | undefined {
    const { value } = node;
    const plain = value === null || typeof value === 'boolean' || typeof value === 'number';
    if (!plain && typeof value !== 'string') return undefined;
    const source = node.source ?? '';
    const style = (node as { type?: ScalarStyle }).type ?? 'PLAIN';
    const [start = 0, end = 0] = node.range ?? [];
    return {
      kind: 'scalar',
      value,
      source,
      place,
      origin,
      locate: (offset) => {
        const found = offsetInFile({ style, value: String(value), text: this.source.text, start, end }, offset);
        return found === undefined ? undefined : this.place(found);
      },
    };
  }

  private entries(map: YAMLMap, path: Path): ReadonlyMap<string, Entry> {
    const entries = new Map<string, Entry>();
    const merged: Pair[] = [];
    for (const pair of map.items as Pair<Node, Node | null>[]) {
      const place = this.place(pair.key.range?.[0] ?? 0);
      const key = isScalar(pair.key) && pair.key.value !== null ? pair.key.source : undefined;
      if (key === undefined) {
        this.problems.error(
          place,
          formatPath(path),
          'this key is not a string',
          'if this is a template, it was not rendered',
        );
        continue;
      }
      if (key === '<<' && pair.value !== null) {
        merged.push(pair);
        continue;
      }
      const first = entries.get(key);
      if (first !== undefined) {
        this.problems.error(
          place,
          formatPath([...path, key]),
          `duplicate key, first defined on line ${first.place.line}`,
        );
        continue;
      }
      const node = pair.value === null ? undefined : this.node(pair.value, [...path, key]);
      if (node !== undefined) entries.set(key, { place, node });
    }
    for (const pair of merged) this.merge(entries, pair.value as Node, path);
    return entries;
  }

  /** `<<: *other` adds the keys that do not exist yet (YAML 1.1's merge key, which go-yaml also supports). */
  private merge(entries: Map<string, Entry>, value: Node, path: Path): void {
    const node = this.node(value, path);
    for (const part of node?.kind === 'list' ? node.items : [node]) {
      if (part === undefined) continue;
      if (part.kind !== 'mapping') {
        this.problems.error(part.place, formatPath([...path, '<<']), 'only mappings can be merged', '<<: *anchor');
        continue;
      }
      for (const [key, entry] of part.entries) if (!entries.has(key)) entries.set(key, entry);
    }
  }
}

/**
 * The first line that nests more deeply than any configuration. Found before parsing, because the parser recurses for
 * each level, and a process that runs out of stack there may end without an exception.
 */
function tooDeep(text: string): number | undefined {
  let brackets = 0;
  let line = 1;
  let indent = 0;
  let isIndent = true;
  for (let offset = 0; offset < text.length; offset++) {
    const character = text[offset] ?? '';
    if (character === '\n') {
      line++;
      indent = 0;
      isIndent = true;
      continue;
    }
    if (isIndent) {
      isIndent = ' -?:'.includes(character);
      if (isIndent && ++indent > indentLimit) return line;
    }
    if (character === '[' || character === '{') brackets++;
    else if ((character === ']' || character === '}') && brackets > 0) brackets--;
    if (brackets > bracketLimit) return line;
  }
  return undefined;
}

/**
 * The library's messages, except those that quote the file, which may contain a password, or that address programmers.
 */
function yamlMessage(error: YAMLError): string {
  switch (error.code) {
    case 'BAD_ALIAS':
      return `YAML: ${unknownAnchor}`;
    case 'TAG_RESOLVE_FAILED':
    case 'MULTIPLE_TAGS':
      return 'YAML: unknown tag (put a string that begins with ! in quotes)';
    case 'MULTIPLE_DOCS':
      return 'YAML: this is a second document; a configuration has only one';
    case 'UNEXPECTED_TOKEN':
    case 'IMPOSSIBLE':
    case 'BAD_DIRECTIVE':
    case 'RESOURCE_EXHAUSTION':
      return 'YAML: unexpected token';
    case 'BLOCK_AS_IMPLICIT_KEY':
      return 'YAML: nested mappings are not allowed on one line (put a string that contains ": " in quotes)';
    case 'TAB_AS_INDENT':
      return 'YAML: tabs are not allowed as indentation';
    default:
      return `YAML: ${lowercaseFirst(error.message.split('\n', 1)[0] ?? '').slice(0, 200)}`;
  }
}

function lowercaseFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** The first character of the line's own text, if the library points to the indentation before it. */
function afterIndent(text: string, offset: number): number {
  const isLineStart = offset === 0 || text[offset - 1] === '\n';
  const [indent = ''] = isLineStart ? (/^ */.exec(text.slice(offset, offset + 200)) ?? []) : [];
  return offset + indent.length;
}
