import type { Config } from '../../core/config/model.js';
import type { PolicyObject } from '../../core/policies/objects.js';
import type { LeaderTask } from '../leader-task.js';
import type { LiveConfig } from '../live-config.js';
import { ProblemLog } from '../problem-log.js';
import { otherOwner, ownerOf } from './owner.js';
import type { Owner } from './owner.js';
import { LeftoverPolicies, tablesOf } from './leftovers.js';
import type { LeftoverPolicy } from './leftovers.js';
import { isOwned, kindOf, otherManagers } from './policy-objects.js';
import type { LivePolicy, PolicyObjects } from './policy-objects.js';
import { withPlatformSelectors } from './platform-selectors.js';
import { wantedPolicies } from './wanted-policies.js';
import type { MirroredImages } from '../image-table/mirrored-images.js';
import { adoptTables } from '../image-table/adopt.js';
import { usesImageTable } from '../image-table/uses-image-table.js';
import { createHash } from 'node:crypto';
import { messageOf } from '../../util/message-of.js';

export interface ManagedPoliciesOptions {
  readonly objects: PolicyObjects;
  readonly config: LiveConfig;
  /** The service's own namespace. */
  readonly namespace: string;
  /** CA certificates (PEM) that sign the serving certificate. @throws Error with the reason if unavailable */
  readonly caBundle: (config: Config) => Promise<string | undefined>;
  /** For an engine whose policies contain it. */
  readonly images?: MirroredImages;
  readonly log: (level: 'info' | 'warn', message: string) => void;
}

/** Milliseconds between two passes; after a failure the first delay, doubled each time up to the last. */
const CHECK_INTERVALS_MS = { usual: 30_000, failed: 2_000, longest: 60_000 };

/**
 * The leader's policies in the cluster: always those of the current configuration. It undoes changes by others,
 * except namespaces that the cluster's platform excludes, and deletes its own objects that the configuration no longer needs. It only reads and writes objects by name.
 */
export class ManagedPolicies implements LeaderTask {
  readonly name = 'managed policies';
  private readonly leftovers = new LeftoverPolicies();
  /**
   * By kind and name: a hash of the applied object, and its version after that. An unchanged object is not sent again.
   */
  private readonly applied = new Map<string, { readonly hash: string; readonly resourceVersion: string }>();

  constructor(private readonly options: ManagedPoliciesOptions) {}

  async lead(signal: AbortSignal): Promise<void> {
    const { config, log } = this.options;
    const problems = new ProblemLog(log);
    let failures = 0;
    this.leftovers.begin();
    this.applied.clear();
    this.options.images?.forget();
    let adopted = false;
    let managed: Config | undefined;
    // Managed policies stay when management is turned off: someone may have applied the same policies by hand since.
    while (!signal.aborted && config.current().policies.manage) {
      const judged = config.current();
      managed = judged;
      if (!adopted) adopted = await this.adopt(problems);
      const failed = adopted ? await this.pass(signal) : [NOT_READ_YET];
      problems.update(failed, 'the policies in the cluster match the configuration again');
      failures = failed.length === 0 ? 0 : failures + 1;
      // `pause` misses a change that happened during the pass.
      if (config.current() !== judged) continue;
      const pause =
        failures === 0
          ? CHECK_INTERVALS_MS.usual
          : Math.min(CHECK_INTERVALS_MS.longest, CHECK_INTERVALS_MS.failed * 2 ** (failures - 1));
      await this.pause(pause, failures > 0, signal);
    }
    if (managed !== undefined && !config.current().policies.manage) await this.removeTables(managed, problems);
  }

  /** Nobody keeps a table any longer: it would swap Pods to images that a target loses. */
  private async removeTables(managed: Config, problems: ProblemLog): Promise<void> {
    const owner = ownerOf(managed, this.options.namespace);
    const failed: string[] = [];
    for (const leftover of tablesOf(managed.policies)) {
      try {
        await this.remove(
          leftover,
          owner,
          new AbortController().signal,
          'policies.manage is off, and the table would become outdated',
        );
      } catch (error) {
        failed.push(messageOf(error));
      }
    }
    problems.update(failed, '');
  }

  /** Continues with the previous leader's table. @returns false if it cannot be read now */
  private async adopt(problems: ProblemLog): Promise<boolean> {
    const { config, images, objects, namespace } = this.options;
    const current = config.current();
    if (images === undefined || !usesImageTable(current)) return true;
    try {
      await adoptTables({ images, objects, config: current, owner: ownerOf(current, namespace) });
      return true;
    } catch (error) {
      problems.update([messageOf(error)], '');
      return false;
    }
  }

  /** Waits for the next pass: the given time, or a change of the configuration or of the table. */
  private async pause(milliseconds: number, failed: boolean, signal: AbortSignal): Promise<void> {
    const { config, images } = this.options;
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const changes = images !== undefined && !failed && usesImageTable(config.current()) ? [images.due(either)] : [];
    await Promise.race([config.pause(milliseconds, either), ...changes]);
    over.abort();
  }

  /** @returns problems, one line each */
  private async pass(signal: AbortSignal): Promise<readonly string[]> {
    const { config, namespace, caBundle, images } = this.options;
    const current = config.current();
    this.leftovers.follow(current.policies);
    const problems: string[] = [];
    const attempt: Attempt = async (work) => {
      try {
        return await work();
      } catch (error) {
        problems.push(messageOf(error));
        return undefined;
      }
    };
    const wanted = await attempt(async () => {
      const tables = images !== undefined && usesImageTable(current) ? { tables: images.tablesFor(current) } : {};
      return wantedPolicies(current, { namespace, caBundle: await caBundle(current), ...tables });
    });
    if (wanted === undefined) return problems;
    const owner = ownerOf(current, namespace);
    const { own, others } = this.leftovers.except(wanted, current.policies);
    // A mutator of earlier filters must not use the Provider of these: the service would rely on its conditions.
    for (const one of own) await attempt(() => this.remove(one, owner, signal));
    let applied = true;
    let writes = 0;
    const failed = new Set<PolicyObject['kind']>();
    for (const object of wanted) {
      if (signal.aborted) return problems;
      const { requires } = kindOf(object);
      if (requires !== undefined && failed.has(requires)) continue;
      const written = await attempt(() => this.apply(object, owner));
      applied &&= written !== undefined;
      if (written === undefined) failed.add(object.kind);
      if (written === true) writes += 1;
    }
    if (applied && images !== undefined && usesImageTable(current)) images.recordWrites(writes);
    // The previous policies stay until all their successors exist.
    if (applied) for (const one of others) await attempt(() => this.remove(one, owner, signal));
    return problems;
  }

  /** @returns whether it was sent: an object that is unchanged in the cluster is not */
  private async apply(object: PolicyObject, owner: Owner): Promise<boolean> {
    const { objects, log } = this.options;
    const { name } = object.metadata;
    const what = `${object.kind} ${name}`;
    const before = await objects.named(kindOf(object), name);
    const isOwn = before !== undefined && isOwned(before, owner.labels);
    if (before !== undefined && !isOwn) rejectOtherOwner(what, before, owner);
    const hash = hashOf(object);
    const known = this.applied.get(what);
    if (isOwn && known?.hash === hash && known.resourceVersion === before.metadata.resourceVersion) return false;
    const hasSelectors = before !== undefined && object.kind === 'MutatingWebhookConfiguration';
    const complete = hasSelectors ? withPlatformSelectors(object, await objects.whole(kindOf(object), name)) : object;
    const applied = await objects.apply(complete);
    const others = otherManagers(applied);
    const live = others.length === 0 ? applied : await objects.replace(complete, applied);
    if (!isOwn) {
      log(
        'info',
        `${what}: ${known === undefined || before !== undefined ? 'created' : 'recreated, because somebody deleted it'}`,
      );
      // Perhaps it was deleted with its kind: Kyverno then no longer watches the objects.
      if (known !== undefined && kindOf(object).consecutive === true) this.options.images?.reload();
    } else if (before.metadata.resourceVersion !== live.metadata.resourceVersion) {
      const fields = others.length === 0 ? '' : `; removing fields set by ${others.join(', ')}`;
      log('info', `${what}: changed${fields}`);
    }
    this.applied.set(what, { hash, resourceVersion: live.metadata.resourceVersion });
    return true;
  }

  private async remove(leftover: LeftoverPolicy, owner: Owner, signal: AbortSignal, why = UNNEEDED): Promise<void> {
    if (signal.aborted) return;
    const { objects, log } = this.options;
    const { kind, name, successors = [] } = leftover;
    // Without rights on the kind, this service cannot have written any object of it.
    const live = await objects.named(kind, name);
    if (live !== undefined && isOwned(live, owner.labels)) {
      for (const successor of successors) await this.remove({ kind, name: successor }, owner, signal, why);
      await objects.remove(kind, live);
      this.applied.delete(`${kind.kind} ${name}`);
      log('info', `${kind.kind} ${name}: removed, because ${why}`);
    }
    this.leftovers.settled(leftover);
  }
}

type Attempt = <T>(work: () => Promise<T>) => Promise<T | undefined>;

const UNNEEDED = 'the configuration no longer needs it';
const NOT_READ_YET = "the policies wait until the previous leader's policies are read";

/** Without a copy of the whole text: a table has a megabyte, and each pass would leave it as garbage. */
function hashOf(object: PolicyObject): string {
  const hash = createHash('sha256');
  const add = (value: unknown): void => {
    if (typeof value === 'string') hash.update(`${value.length}:`).update(value);
    else if (typeof value !== 'object' || value === null) hash.update(`${String(value)};`);
    else
      for (const [key, one] of Object.entries(value)) {
        if (one === undefined) continue;
        hash.update(`${key}=`);
        add(one);
      }
    hash.update(',');
  };
  add(object);
  return hash.digest('hex');
}

/** Two installs that write one object would overwrite each other forever. */
function rejectOtherOwner(what: string, live: LivePolicy, own: Owner): void {
  const owner = otherOwner(live, own);
  if (owner === undefined) return;
  throw new Error(
    `${what}: is managed by another install, with Lease ${owner}: change policies.name of one install, or delete the object`,
  );
}
