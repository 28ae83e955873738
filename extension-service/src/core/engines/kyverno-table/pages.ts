import type { Reference } from '../../image/reference.js';
import { referenceName } from '../../image/reference.js';
import { refusalOf, targetReference } from '../../naming/name.js';
import type { NamingTarget } from '../../naming/target.js';
import { TABLE_PAGE_LIMITS } from './names.js';
import type { TableEntry } from '../mutating-admission-policy/image-table.js';

/** The content of one object of the table. */
export interface TablePage {
  /** Name of the target. */
  readonly target: string;
  /** `registry/repository:tag` or `registry/repository@digest` of the source, normalized → the image in the target. */
  readonly images: Readonly<Record<string, string>>;
}

/** An entry with its name in the target, which identifies it. */
export interface NamedEntry extends TableEntry {
  readonly text: string;
}

/** The table in parts, with the entries that it does not contain. */
export interface FittedPages {
  readonly pages: readonly TablePage[];
  /** Entries in it. */
  readonly size: number;
  /** Characters of its keys and values. */
  readonly length: number;
  /** Number of entries that did not fit. */
  readonly omittedForSpace: number;
  /** Number of entries whose text no policy accepts. */
  readonly unquotable: number;
  /** Names in the target of both. */
  readonly omitted: readonly string[];
}

/** The characters that the guard of the policy accepts. */
const ACCEPTED = /^[A-Za-z0-9._:/@+-]+$/;

interface Slot {
  readonly target: string;
  readonly images: Map<string, { readonly key: string; readonly length: number }>;
  length: number;
  /** Absent: changed since. */
  page?: TablePage;
}

/**
 * Assigns each entry to a page and keeps it there, so that a change writes only the objects that it concerns. A page
 * holds the images of one target, and an empty page stays.
 */
export class TablePages {
  private readonly slots: Slot[] = [];
  private readonly places = new Map<string, Slot>();

  forget(): void {
    this.slots.length = 0;
    this.places.clear();
  }

  /** The cluster has this page, with these entries. Pages must be adopted in their order. */
  adopt(target: string, entries: readonly NamedEntry[]): void {
    const slot: Slot = { target, images: new Map(), length: 0 };
    this.slots.push(slot);
    for (const entry of entries)
      if (entry.target === target && !this.places.has(entry.text)) put(slot, entry, this.places);
  }

  /** The pages with exactly these entries. The first ones stay if there is not enough room. */
  fit(entries: Iterable<NamedEntry>, firstTarget: string): FittedPages {
    if (this.slots.length === 0) this.slots.push({ target: firstTarget, images: new Map(), length: 0 });
    const added: NamedEntry[] = [];
    const kept = new Set<string>();
    const omitted: string[] = [];
    let [omittedForSpace, unquotable] = [0, 0];
    for (const entry of entries) {
      if (this.places.get(entry.text)?.target === entry.target) kept.add(entry.text);
      else if (ACCEPTED.test(entry.text) && ACCEPTED.test(sourceKey(entry.source))) added.push(entry);
      else {
        unquotable += 1;
        omitted.push(entry.text);
      }
    }
    for (const [text, slot] of this.places) if (!kept.has(text)) this.take(text, slot);
    const open = new Map<string, Slot>();
    for (const entry of added) {
      const slot = this.slotFor(entry, open);
      if (slot !== undefined) put(slot, entry, this.places);
      else {
        omittedForSpace += 1;
        omitted.push(entry.text);
      }
    }
    return {
      pages: this.slots.map(pageOf),
      size: this.places.size,
      length: this.slots.reduce((sum, { length }) => sum + length, 0),
      ...{ omittedForSpace, unquotable, omitted },
    };
  }

  private take(text: string, slot: Slot): void {
    slot.length -= slot.images.get(text)?.length ?? 0;
    slot.images.delete(text);
    delete slot.page;
    this.places.delete(text);
  }

  /** @param open the page with room that was found last, by target */
  private slotFor(entry: NamedEntry, open: Map<string, Slot>): Slot | undefined {
    const { target } = entry;
    const fits = (slot: Slot | undefined): boolean =>
      slot?.target === target &&
      slot.images.size < TABLE_PAGE_LIMITS.entries &&
      slot.length + lengthOf(entry) <= TABLE_PAGE_LIMITS.characters;
    const last = open.get(target);
    let found = fits(last) ? last : this.slots.find(fits);
    if (found === undefined && this.slots.length < TABLE_PAGE_LIMITS.pages) {
      found = { target, images: new Map(), length: 0 };
      this.slots.push(found);
    }
    if (found !== undefined) open.set(target, found);
    return found;
  }
}

function put(slot: Slot, entry: NamedEntry, places: Map<string, Slot>): void {
  const length = lengthOf(entry);
  slot.images.set(entry.text, { key: sourceKey(entry.source), length });
  slot.length += length;
  delete slot.page;
  places.set(entry.text, slot);
}

function lengthOf({ source, text }: NamedEntry): number {
  return sourceKey(source).length + text.length;
}

/** Sorted, so that the same content is the same object. */
function pageOf(slot: Slot): TablePage {
  const { target, images } = slot;
  slot.page ??= {
    target,
    images: Object.fromEntries(
      [...images].map(([text, { key }]) => [key, text] as const).sort(([one], [other]) => (one < other ? -1 : 1)),
    ),
  };
  return slot.page;
}

/** The key of an image in the table; the policy computes the same from the reference in the Pod. */
export function sourceKey(source: Reference): string {
  return `${source.registry}/${source.repository}${source.digest === undefined ? ':' : '@'}${referenceName(source)}`;
}

/** The page in an object as stored in the API server; without images if it has another hash. */
export function readPage(object: unknown, hash: string): TablePage {
  const { spec = {} } = object as { readonly spec?: Readonly<Record<string, unknown>> };
  const { target, images } = spec;
  const valid = spec['hash'] === hash && typeof images === 'object' && images !== null ? Object.entries(images) : [];
  return {
    target: typeof target === 'string' ? target : '',
    images: Object.fromEntries(valid.filter((entry): entry is [string, string] => typeof entry[1] === 'string')),
  };
}

/** The entries of a page; none for an image that the target no longer takes. */
export function entriesOf(images: TablePage['images'], naming: NamingTarget): readonly TableEntry[] {
  return Object.keys(images).flatMap((key) => {
    const source = referenceOf(key);
    if (source === undefined || refusalOf(naming, source) !== undefined) return [];
    const { registry, repository } = targetReference(naming, source);
    return [{ source, target: naming.name, registry, repository }];
  });
}

/** Not `parseReference`, which reads some registries as paths of Docker Hub. */
function referenceOf(key: string): Reference | undefined {
  const [, registry, repository, separator, shown] = /^([^/]+)\/([^@]+?)([:@])([^/]+)$/.exec(key) ?? [];
  if (registry === undefined || repository === undefined || shown === undefined) return undefined;
  return { registry, repository, ...(separator === '@' ? { digest: shown } : { tag: shown }) };
}
