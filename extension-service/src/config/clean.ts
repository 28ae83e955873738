import { quoteInput } from '../core/image/quote.js';
import type { Dialect } from './dialect.js';
import { formatDuration } from '../core/config/duration.js';
import type { Field, LeafField, MappingField } from '../schema/field.js';
import type { Problems } from './problem.js';
import { LEGACY_KEYS } from './legacy-keys.js';
import { didYouMean, suggest } from './suggest.js';
import type { Entry, Path, ScalarNode, TreeNode } from './tree.js';
import { formatPath } from './tree.js';

/**
 * Converts a tree to the schema's own keys and kinds of values: unknown keys are reported and dropped, an empty value
 * (`key:`) counts as absent, and strings that were written as numbers get their digits back. In the k8s-image-swapper
 * dialect, keys are case-insensitive, and values are converted as its loader does.
 */
export class Cleaner {
  constructor(
    private readonly dialect: Dialect,
    private readonly problems: Problems,
  ) {}

  /** Undefined: treated as absent. */
  clean(node: TreeNode, field: Field, path: Path): TreeNode | undefined {
    if (node.kind === 'scalar' && node.value === null) return undefined;
    switch (field.kind) {
      case 'leaf':
        return node.kind === 'scalar' ? this.scalar(node, field, path) : this.list(node, field, path);
      case 'list':
        return this.list(node, field.item, path);
      case 'map':
        return this.map(node, field.item, path);
      case 'mapping':
        if (node.kind !== 'mapping') return node;
        return { ...node, entries: this.entries(node.entries, field, path) };
    }
  }

  private list(node: TreeNode, item: Field, path: Path): TreeNode {
    if (node.kind !== 'list') return node;
    return {
      ...node,
      // An empty entry keeps its index: the schema reports it.
      items: node.items.map((entry, index) => this.clean(entry, item, [...path, index]) ?? entry),
    };
  }

  private map(node: TreeNode, item: Field, path: Path): TreeNode {
    if (node.kind !== 'mapping') return node;
    const entries = [...node.entries].map(([key, entry]) => {
      // An entry without a value stays: the schema reports it.
      const value = this.clean(entry.node, item, [...path, key]) ?? entry.node;
      return [key, { place: entry.place, node: value }] as const;
    });
    return { ...node, entries: new Map(entries) };
  }

  private entries(entries: ReadonlyMap<string, Entry>, field: MappingField, path: Path): ReadonlyMap<string, Entry> {
    const cleaned = new Map<string, Entry>();
    for (const [written, entry] of entries) {
      const key = this.known(written, field);
      if (key === undefined) {
        this.unknown(written, entry, field, path);
        continue;
      }
      const first = cleaned.get(key);
      if (first !== undefined) {
        const message = `duplicate key, first defined on line ${first.place.line}`;
        this.problems.error(entry.place, formatPath([...path, key]), message);
        continue;
      }
      const child = field.fields.get(key);
      const node = child && this.clean(entry.node, child, [...path, key]);
      if (node !== undefined) cleaned.set(key, { place: entry.place, node });
    }
    return cleaned;
  }

  private known(written: string, field: MappingField): string | undefined {
    if (field.fields.has(written)) return written;
    if (this.dialect === 'strict') return undefined;
    return [...field.fields.keys()].find((key) => key.toLowerCase() === written.toLowerCase());
  }

  private unknown(written: string, entry: Entry, field: MappingField, path: Path): void {
    const place = formatPath([...path, shown(written)]);
    const legacy = path.length === 0 ? LEGACY_KEYS.get(written.toLowerCase()) : undefined;
    if (legacy !== undefined) {
      const severity = this.dialect === 'k8s-image-swapper' ? 'warning' : 'error';
      this.problems.add(severity, entry.place, place, legacy.message, legacy.advice);
      return;
    }
    const elsewhere = [...keysBelow(field, '')].find((key) => key.split('.').at(-1) === written);
    const hint = didYouMean(suggest(written, field.fields.keys()) ?? elsewhere);
    const severity = this.dialect === 'k8s-image-swapper' ? 'warning' : 'error';
    const allowed = `expected one of ${[...field.fields.keys()].join(', ')}`;
    this.problems.add(severity, entry.place, place, `unknown key${hint}`, allowed);
  }

  private scalar(node: ScalarNode, field: LeafField, path: Path): ScalarNode | undefined {
    const { value } = node;
    if (typeof value === 'string') {
      // Templates write role: "" for no role.
      if (value === '' && field.optional && field.type !== 'choice') return undefined;
      return this.dialect === 'k8s-image-swapper' ? fromText(node, field) : node;
    }
    switch (field.type) {
      case 'digits':
        return { ...node, value: node.source };
      case 'duration':
        return this.nanoseconds(node, path);
      case 'text':
        return this.rejectNonString(node, field, path);
      default:
        return node;
    }
  }

  /** Strict files must quote strings; the loader of k8s-image-swapper uses the number's text. */
  private rejectNonString(node: ScalarNode, field: LeafField, path: Path): ScalarNode {
    const kind = typeof node.value === 'number' ? 'number' : 'boolean';
    // A secret's own text is not shown in messages.
    const message = `is a ${kind}, not a string`;
    const allowed = `write it in quotes${field.secret === undefined ? `: ${quoteInput(node.source)}` : ''}`;
    this.problems.add(
      this.dialect === 'k8s-image-swapper' ? 'warning' : 'error',
      node.place,
      formatPath(path),
      message,
      allowed,
    );
    return { ...node, value: node.source };
  }

  /** k8s-image-swapper's durations are Go's: a number is nanoseconds, and 0 means the default. */
  private nanoseconds(node: ScalarNode, path: Path): ScalarNode | undefined {
    if (this.dialect !== 'k8s-image-swapper' || typeof node.value !== 'number' || node.value < 0) {
      return { ...node, value: node.source };
    }
    if (node.value === 0) return undefined;
    const duration = formatDuration(Math.round(node.value / 1e6));
    this.problems.warning(
      node.place,
      formatPath(path),
      `a number means nanoseconds, so this is ${duration}`,
      'write 8s',
    );
    return { ...node, value: duration };
  }
}

/** Converts a string if the schema has a boolean or number; any other string stays a string. */
export function fromText(node: ScalarNode, field: LeafField): ScalarNode {
  const text = String(node.value);
  if (field.type === 'boolean' || field.type === 'auto') {
    // Go's strconv.ParseBool.
    if (/^(?:1|t|true)$/i.test(text)) return { ...node, value: true };
    if (/^(?:0|f|false)$/i.test(text)) return { ...node, value: false };
  }
  return field.type === 'number' && /^[+-]?\d{1,15}$/.test(text) ? { ...node, value: Number(text) } : node;
}

function* keysBelow(field: MappingField, prefix: string): Generator<string> {
  for (const [key, child] of field.fields) {
    yield `${prefix}${key}`;
    if (child.kind === 'mapping') yield* keysBelow(child, `${prefix}${key}.`);
  }
}

/** A user-defined key, made safe for a message. */
function shown(key: string): string {
  return /^[\w.\-/]{1,60}$/.test(key) ? key : quoteInput(key);
}
