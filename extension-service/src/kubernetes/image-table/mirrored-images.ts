import type { Config } from '../../core/config/model.js';
import type { MirrorJob } from '../../core/decide/mirror-job.js';
import type { DecidedTarget, ImageTables } from '../../core/engines/engine.js';
import { decidedTargets } from '../../core/engines/for-config.js';
import { basesOf } from '../../core/engines/mutating-admission-policy/admission-policy.js';
import { imageTable } from '../../core/engines/mutating-admission-policy/image-table.js';
import type { FittedTable, TableEntry } from '../../core/engines/mutating-admission-policy/image-table.js';
import { TablePages } from '../../core/engines/kyverno-table/pages.js';
import type { FittedPages } from '../../core/engines/kyverno-table/pages.js';
import { parseReference } from '../../core/image/reference.js';
import { refusalOf, targetReference } from '../../core/naming/name.js';
import { namingTarget } from '../../kinds/registry-naming.js';
import { WakeUps } from '../../util/wake-ups.js';
import { TableChanges } from './table-changes.js';
import { usesTableObjects } from './uses-image-table.js';
import { WritePace } from './write-pace.js';

/** The table after a write. */
export interface TableReport {
  readonly entries: number;
  /** Code points of the literals. */
  readonly length: number;
  readonly omittedForSpace: number;
  readonly unquotable: number;
  /** Number of written objects. */
  readonly writes: number;
  /** Milliseconds from the oldest change in it to the end of the write. */
  readonly lag: number;
  /** Names in the target from the previous leader's table. */
  readonly adopted: readonly string[];
  /** Names that were added to the table. */
  readonly added: readonly string[];
  /** Names that were removed from it. */
  readonly removed: readonly string[];
}

interface Known extends TableEntry {
  /** Name in the target, in the Pods' form. */
  readonly text: string;
  /** The last time when the target was known to have it, in milliseconds since the epoch. */
  seen: number;
}

interface RenderedTables extends ImageTables {
  readonly large: FittedTable<Known>;
  readonly recent: FittedTable<Known>;
  readonly fitted?: FittedPages;
}

/** Milliseconds. */
const MERGE_INTERVAL_MS = 3_600_000;
/** Milliseconds until new images make the engine read all objects again, in case it no longer follows them. */
const RELOAD_INTERVAL_MS = 600_000;
/** Code points of new images that cause an early merge into the large table. */
const MAX_RECENT_CHARACTERS = 90_000;

/**
 * The images in the targets that this replica has seen since it leads. They are divided into a large part and a recent
 * one, so that a new image only sends a small object.
 */
export class MirroredImages {
  private readonly known = new Map<string, Known>();
  private readonly recent = new Set<string>();
  private readonly pending = new TableChanges();
  /** Whether the previous leader's table was read, if there is one. */
  private isRead = false;
  private readonly adopted = new Set<string>();
  private version = 0;
  private rendered = -1;
  private written = 0;
  /** Time of the oldest change that is not rendered yet, and of the oldest one that is rendered but not written. */
  private changedAt: number | undefined;
  private renderedSince: number | undefined;
  private readonly pace = new WritePace();
  private mergedAt: number;
  private largeChanged = true;
  private omitted = { omittedForSpace: 0, unquotable: 0 };
  private config: Config | undefined;
  private tables: RenderedTables | undefined;
  /** The table in objects, in place of the large and the recent part. */
  private readonly pages = new TablePages();
  /** When the engine was last made to read all objects again, how often, and whether it must do so now. */
  private reloadedAt: number;
  private reloads = 0;
  private mustReload = false;
  private readonly changes = new WakeUps();
  private readonly writes = new WakeUps();

  constructor(
    private readonly options: {
      readonly now?: () => number;
      readonly onReport?: (report: TableReport) => void;
      readonly log: (level: 'info' | 'warn', message: string) => void;
    },
  ) {
    this.mergedAt = this.now();
    this.reloadedAt = this.mergedAt;
  }

  /**
   * Forgets all images. A replica that leads again does not know which images have left the targets since. Without a
   * table, nothing else limits what is remembered.
   */
  forget(): void {
    for (const names of [this.known, this.recent, this.adopted]) names.clear();
    this.pending.forget();
    this.pages.forget();
    this.isRead = false;
    this.config = undefined;
    this.tables = undefined;
    this.largeChanged = true;
    this.changedAt = undefined;
    this.renderedSince = undefined;
    this.mergedAt = this.now();
    this.reloadedAt = this.mergedAt;
    this.version += 1;
  }

  /** The previous leader's table: its entries count as seen now, and are dropped if nothing uses them. */
  adopt(part: 'large' | 'recent', entries: readonly TableEntry[], config: Config): void {
    const targets = byName(decidedTargets(config, namingTarget));
    for (const entry of entries) {
      const text = nameOf(entry, targets);
      // A lookup in the target may end before the old table is read.
      if (text === undefined || this.adopted.has(text) || this.pending.hasRemoved(text)) continue;
      if (!this.known.has(text)) this.known.set(text, { ...entry, text, seen: this.now() });
      this.pending.withdraw(text);
      if (part === 'recent') this.recent.add(text);
      else this.recent.delete(text);
      this.adopted.add(text);
    }
    this.tables = undefined;
    this.rendered = -1;
  }

  /** The same for an object of the table, in the order of their names; without entries if they are no longer valid. */
  adoptPage(target: string, entries: readonly TableEntry[], config: Config): void {
    this.adopt('large', entries, config);
    const targets = byName(decidedTargets(config, namingTarget));
    const own = entries.flatMap((entry) => this.known.get(nameOf(entry, targets) ?? '') ?? []);
    this.pages.adopt(target, own);
  }

  /** The engine may have lost objects of the table, so it must read all of them again. */
  reload(): void {
    this.mustReload = true;
    this.changed();
  }

  /** The target has the image. */
  present(job: MirrorJob): void {
    const { text } = job.reference;
    const known = this.known.get(text);
    if (known !== undefined) {
      known.seen = this.now();
      return;
    }
    const { target, reference } = job;
    const { registry, repository } = reference;
    const source = parseReference(job.source);
    this.known.set(text, { source, target, registry, repository, text, seen: this.now() });
    this.recent.add(text);
    this.pending.add(text);
    this.changed();
  }

  /** The target does not have the image, or is about to lose it. */
  missing({ reference: { text } }: { readonly reference: Pick<MirrorJob['reference'], 'text'> }): void {
    if (!this.known.delete(text)) {
      if (!this.isRead) this.pending.remove(text);
      return;
    }
    if (!this.recent.delete(text)) this.largeChanged = true;
    this.pending.remove(text);
    this.changed();
  }

  /** Something uses the image, and its registry does not say whether it exists: it stays as it is. */
  keep({ reference: { text } }: Pick<MirrorJob, 'reference'>): void {
    const known = this.known.get(text);
    if (known !== undefined) known.seen = this.now();
  }

  /** The tables for a pass over the policies: without new changes while it is too early for another write. */
  tablesFor(config: Config): ImageTables {
    const isDue = this.pace.pause(this.objectsDue(), this.now()) <= 0;
    return this.tables === undefined || config !== this.config || isDue ? this.render(config) : this.tables;
  }

  /** The tables with every change so far, for the current configuration. */
  render(config: Config): ImageTables {
    this.isRead = true;
    if (config !== this.config) this.follow(config);
    this.merge(config);
    if (this.tables === undefined || this.rendered !== this.version) {
      this.tables = usesTableObjects(config) ? this.renderObjects(config) : this.renderLiterals(config);
      this.rendered = this.version;
      this.renderedSince ??= this.changedAt;
      this.changedAt = undefined;
      this.largeChanged = false;
      this.pending.send();
    }
    return this.tables;
  }

  private renderLiterals(config: Config): RenderedTables {
    const bases = basesOf(decidedTargets(config, namingTarget));
    let recent = imageTable(this.of(true), bases, MAX_RECENT_CHARACTERS);
    if (recent.omittedForSpace > 0) {
      this.join();
      recent = imageTable<Known>([], bases);
    }
    const large =
      this.largeChanged || this.tables === undefined ? imageTable(this.of(false), bases) : this.tables.large;
    return { large, recent };
  }

  private renderObjects(config: Config): RenderedTables {
    const [first] = decidedTargets(config, namingTarget);
    const fitted = this.pages.fit(this.known.values(), first?.naming.name ?? '');
    // An engine that missed a removal would swap to an image that no longer exists.
    const isOverdue = this.now() - this.reloadedAt >= RELOAD_INTERVAL_MS;
    if (this.mustReload || isOverdue || this.pending.hasUnsentRemovals) {
      this.mustReload = false;
      this.reloadedAt = this.now();
      this.reloads += 1;
    }
    const none = imageTable<Known>([], new Map());
    const reload = `${this.reloadedAt}-${this.reloads}`;
    return { large: none, recent: none, fitted, objects: { pages: fitted.pages, reload } };
  }

  /** The result of `render` is in the cluster. @param writes number of objects that this took */
  recordWrites(writes: number): void {
    const { tables } = this;
    if (tables === undefined) return;
    this.written = this.rendered;
    this.writes.wake();
    const { large, recent, fitted } = tables;
    const omitted = [...large.omitted, ...recent.omitted].map(({ text }) => text);
    const changes = this.pending.settle(new Set([...omitted, ...(fitted?.omitted ?? [])]));
    const adopted = [...this.adopted];
    this.adopted.clear();
    const lag = this.renderedSince === undefined ? 0 : this.now() - this.renderedSince;
    this.renderedSince = undefined;
    if (writes === 0 && [adopted, changes.added, changes.removed].every(({ length }) => length === 0)) return;
    this.pace.record(writes, this.now());
    const sum = (of: 'size' | 'length' | 'omittedForSpace' | 'unquotable'): number =>
      large[of] + recent[of] + (fitted?.[of] ?? 0);
    const [omittedForSpace, unquotable] = [sum('omittedForSpace'), sum('unquotable')];
    this.warn(omittedForSpace, unquotable);
    this.options.onReport?.({
      ...{ entries: sum('size'), length: sum('length'), omittedForSpace, unquotable, writes, lag },
      ...{ adopted, ...changes },
    });
  }

  /**
   * Resolves when there is a change to write: at once, or some seconds after the last write; or when the signal aborts.
   */
  async due(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.version === this.written) await this.changes.wait(Infinity, signal);
      else {
        const pause = this.pace.pause(this.objectsDue(), this.now());
        if (pause <= 0) return;
        await this.changes.wait(pause, signal);
      }
    }
  }

  /** Resolves when every change so far is in the cluster, or the signal aborts. */
  async untilApplied(signal: AbortSignal): Promise<void> {
    const { version } = this;
    while (!signal.aborted && this.written < version) await this.writes.wait(Infinity, signal);
  }

  private consequences(): { readonly space: string; readonly characters: string } {
    const isObjects = this.tables?.objects !== undefined;
    const table = isObjects ? 'the table' : "the API server's table";
    const effect = isObjects ? 'Pods with these images call the service' : 'Pods keep their source';
    const remedy = isObjects ? '' : ': use the engine webhook for this many images, or let it cover some namespaces';
    return { space: `${table}, so ${effect}${remedy}`, characters: `${table} does not hold, so ${effect}` };
  }

  /** Logs each number once, because a stream of images causes a write every few seconds. */
  private warn(omittedForSpace: number, unquotable: number): void {
    const { log } = this.options;
    const before = this.omitted;
    this.omitted = { omittedForSpace, unquotable };
    if (omittedForSpace > 0 && omittedForSpace !== before.omittedForSpace) {
      log('warn', `${omittedForSpace} mirrored images do not fit in ${this.consequences().space}`);
    }
    if (unquotable > 0 && unquotable !== before.unquotable) {
      log('warn', `${unquotable} mirrored images have names with characters that ${this.consequences().characters}`);
    }
  }

  /**
   * The maximum number of objects in the next write: the large part changes if an image is removed or the recent part
   * is full.
   */
  private objectsDue(): number {
    if (this.tables?.objects !== undefined) return 1;
    let length = this.tables?.recent.length ?? 0;
    for (const text of this.pending.unsent) length += text.length;
    return this.largeChanged || length > MAX_RECENT_CHARACTERS ? 2 : 1;
  }

  private now(): number {
    return (this.options.now ?? Date.now)();
  }

  private changed(): void {
    this.version += 1;
    this.changedAt ??= this.now();
    this.changes.wake();
  }

  /** Another configuration may name images differently, so these names are looked up in the target again. */
  private follow(config: Config): void {
    // It is not known which of the images only some Pods may read.
    const isStricter = this.config?.source.accessCheck === 'none' && config.source.accessCheck !== 'none';
    this.config = config;
    const targets = byName(decidedTargets(config, namingTarget));
    for (const [text, entry] of this.known) {
      if (!isStricter && nameOf(entry, targets) === text) continue;
      this.known.delete(text);
      this.recent.delete(text);
      this.pending.remove(text);
    }
    this.largeChanged = true;
    this.tables = undefined;
  }

  /** Once an hour, recent images join the large table, and images that have been unused for a while are removed. */
  private merge({ reconcile }: Config): void {
    if (this.now() - this.mergedAt < MERGE_INTERVAL_MS) return;
    this.mergedAt = this.now();
    const oldest = this.now() - Math.max(MERGE_INTERVAL_MS, 2 * reconcile.interval);
    const stale = [...this.known.values()].filter(({ seen }) => seen < oldest);
    for (const { text } of stale) {
      this.known.delete(text);
      this.recent.delete(text);
      this.pending.remove(text);
    }
    if (stale.length === 0 && this.recent.size === 0) return;
    this.join();
    this.version += 1;
  }

  private join(): void {
    this.recent.clear();
    this.largeChanged = true;
  }

  private *of(recent: boolean): Iterable<Known> {
    for (const [text, entry] of this.known) if (this.recent.has(text) === recent) yield entry;
  }
}

function byName(targets: readonly DecidedTarget[]): ReadonlyMap<string, DecidedTarget> {
  return new Map(targets.map((target) => [target.naming.name, target]));
}

function nameOf({ source, target }: TableEntry, targets: ReadonlyMap<string, DecidedTarget>): string | undefined {
  const naming = targets.get(target)?.naming;
  if (naming === undefined || refusalOf(naming, source) !== undefined) return undefined;
  return targetReference(naming, source).text;
}
