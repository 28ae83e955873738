import type { Reference } from '../../image/reference.js';
import { referenceName } from '../../image/reference.js';

/** An image that a target has, under the name that a Pod would get. */
export interface TableEntry {
  readonly source: Reference;
  /** Name of the target. */
  readonly target: string;
  /** host[:port] of the target. */
  readonly registry: string;
  /** Repository in the target. */
  readonly repository: string;
}

/** The literals of one target. Each text is a CEL map, below the API server's limit for one expression. */
export interface TargetTable {
  /** `{directory of the source: {last part of its repository: " reference reference "}}`. */
  readonly chunks: readonly string[];
  /** `{repository of the source: {"": repository in the target, " ": " reference reference "}}`. */
  readonly renamed: readonly string[];
}

export interface ImageTable {
  readonly targets: ReadonlyMap<string, TargetTable>;
  /** Entries in it. */
  readonly size: number;
  /** Code points of all literals. */
  readonly length: number;
  /** Number of entries that did not fit. */
  readonly omittedForSpace: number;
  /** Number of entries whose text is unsafe in a literal. */
  readonly unquotable: number;
}

/** A table with the entries that it does not contain, because there was no room or their text is unsafe. */
export interface FittedTable<Entry> extends ImageTable {
  readonly omitted: readonly Entry[];
}

/** In code points. The API server accepts 100,000 for an expression; etcd's limit for an object is 1.5 MiB. */
export const TABLE_LIMITS = { chunk: 95_000, table: 1_200_000 } as const;

/** The characters of references and repositories (distribution's grammar); none of them needs an escape. */
const QUOTABLE = /^[A-Za-z0-9._:/@[\]-]+$/;

interface Directory {
  /** Its counterpart in the target, if it is not the usual one. */
  readonly to: string | undefined;
  readonly names: Map<string, Set<string>>;
}

interface TableDraft {
  readonly base: string;
  readonly directories: Map<string, Directory>;
  readonly renamed: Map<string, { readonly to: string; readonly shown: Set<string> }>;
}

/**
 * The table as literals. An image's name in the target follows from its source's, so the tags of a repository are one
 * text, repositories are grouped by directory, and the target is named once. A name that does not follow this rule is
 * written out.
 *
 * @param entries if there is not enough room, the first ones stay
 * @param bases for each target: the part before the source's name, `registry.example.com/mirror/`
 */
export function imageTable<Entry extends TableEntry>(
  entries: Iterable<Entry>,
  bases: ReadonlyMap<string, string>,
  limit: number = TABLE_LIMITS.table,
): FittedTable<Entry> {
  const omitted: Entry[] = [];
  const drafts = new Map<string, TableDraft>();
  let [size, length, omittedForSpace, unquotable] = [0, 0, 0, 0];
  for (const entry of entries) {
    const base = bases.get(entry.target);
    if (base === undefined) continue;
    const { source, registry, repository } = entry;
    const shown = referenceName(source);
    if (![source.registry, source.repository, shown, registry, repository].every((text) => QUOTABLE.test(text))) {
      unquotable += 1;
      omitted.push(entry);
      continue;
    }
    let draft = drafts.get(entry.target);
    if (draft === undefined) drafts.set(entry.target, (draft = { base, directories: new Map(), renamed: new Map() }));
    const cost = put(draft, entry, shown, limit - length);
    if (cost === undefined) {
      omittedForSpace += 1;
      omitted.push(entry);
    } else if (cost > 0) [size, length] = [size + 1, length + cost];
  }
  const targets = new Map([...drafts].map(([name, draft]) => [name, literalsOf(draft)]));
  return { targets, size, length, omittedForSpace, unquotable, omitted };
}

/** @returns code points that the entry takes, 0 for an existing one, undefined if they exceed `room` */
function put(draft: TableDraft, entry: TableEntry, shown: string, room: number): number | undefined {
  const { source, registry, repository } = entry;
  const from = `${source.registry}/${source.repository}`;
  const to = `${registry}/${repository}`;
  const [directory, name] = splitPath(from);
  const [toDirectory, toName] = splitPath(to);
  const own = toDirectory === draft.base + directory ? undefined : toDirectory;
  const known = draft.directories.get(directory);
  if (toName === name && (known === undefined || known.to === own)) {
    const set = known?.names.get(name);
    if (set?.has(shown) === true) return 0;
    const cost =
      (known === undefined ? overhead(directory) + (own === undefined ? 0 : overhead(own)) : 0) +
      (set === undefined ? overhead(name) : 0) +
      shown.length +
      1;
    if (cost > room) return undefined;
    const { names } = known ?? { names: new Map<string, Set<string>>() };
    if (known === undefined) draft.directories.set(directory, { to: own, names });
    if (set === undefined) names.set(name, new Set([shown]));
    else set.add(shown);
    return cost;
  }
  const renamed = draft.renamed.get(from);
  if (renamed?.shown.has(shown) === true) return 0;
  const cost = (renamed === undefined ? overhead(from) + overhead(to) : 0) + shown.length + 1;
  if (cost > room) return undefined;
  if (renamed === undefined) draft.renamed.set(from, { to, shown: new Set([shown]) });
  else renamed.shown.add(shown);
  return cost;
}

/** Code points of a key's quotes, braces and separator. */
function overhead(key: string): number {
  return key.length + 9;
}

function splitPath(path: string): readonly [directory: string, name: string] {
  const slash = path.lastIndexOf('/');
  return [path.slice(0, slash), path.slice(slash + 1)];
}

function literalsOf({ directories, renamed }: TableDraft): TargetTable {
  const chunks = new Chunks();
  for (const [directory, { to, names }] of sorted(directories)) {
    const head = to === undefined ? [] : [`"":"${to}"`];
    for (const [name, shown] of sorted(names)) chunks.put(directory, head, name, shown);
  }
  const others = new Chunks();
  for (const [from, { to, shown }] of sorted(renamed)) others.put(from, [`"":"${to}"`], ' ', shown);
  return { chunks: chunks.texts(), renamed: others.texts() };
}

/** Makes the text independent of the order of the entries. */
function sorted<Value>(map: ReadonlyMap<string, Value>): readonly (readonly [string, Value])[] {
  return [...map].sort(([one], [other]) => (one < other ? -1 : 1));
}

/** Maps of maps as texts, each of them below the limit. */
class Chunks {
  private readonly done: string[] = [];
  private groups: string[] = [];
  private length = 0;
  private group: { readonly key: string; readonly parts: string[] } | undefined;

  /** Groups follow each other; a group that is too long continues in the next chunk. */
  put(key: string, head: readonly string[], name: string, shown: ReadonlySet<string>): void {
    for (const [index, text] of texts([...shown].sort()).entries()) {
      // A name occurs once per map: its other tags go into another chunk.
      if (index > 0) this.close();
      const part = `"${name}":"${text}"`;
      const opening = key.length + 6 + head.join(',').length;
      if (this.length > 0 && this.length + part.length + 1 + opening > TABLE_LIMITS.chunk) this.close();
      if (this.group?.key !== key) {
        this.endGroup();
        this.group = { key, parts: [...head] };
        this.length += opening;
      }
      this.group.parts.push(part);
      this.length += part.length + 1;
    }
  }

  texts(): readonly string[] {
    this.close();
    return this.done;
  }

  private endGroup(): void {
    if (this.group !== undefined) this.groups.push(`"${this.group.key}":{${this.group.parts.join(',')}}`);
    this.group = undefined;
  }

  private close(): void {
    this.endGroup();
    if (this.groups.length > 0) this.done.push(`{${this.groups.join(',')}}`);
    this.groups = [];
    this.length = 0;
  }
}

/** `" one two "`, split into texts within the limit. */
function texts(shown: readonly string[]): readonly string[] {
  const all: string[] = [];
  let text = ' ';
  for (const one of shown) {
    if (text.length + one.length + 1 > TABLE_LIMITS.chunk / 2) {
      all.push(text);
      text = ' ';
    }
    text += `${one} `;
  }
  return [...all, text];
}
