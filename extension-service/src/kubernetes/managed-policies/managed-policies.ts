import type { Config } from '../../core/config/model.js';
import type { PolicyObject } from '../../core/policies/objects.js';
import type { LeaderTask } from '../leader-task.js';
import type { LiveConfig } from '../live-config.js';
import { ToldProblems } from '../told-problems.js';
import { anotherOwner, ownerOf } from './owner.js';
import { POLICY_KINDS, kindOf, othersIn } from './policy-objects.js';
import type { LivePolicy, PolicyKind, PolicyObjects } from './policy-objects.js';
import { wantedPolicies } from './wanted-policies.js';
import { messageOf } from '../../util/message-of.js';

export interface ManagedPoliciesOptions {
  readonly objects: PolicyObjects;
  readonly config: LiveConfig;
  /** The service's own namespace. */
  readonly namespace: string;
  /** PEM text of the authorities that sign the serving certificate. @throws Error that says why it cannot be had */
  readonly caBundle: (config: Config) => Promise<string | undefined>;
  readonly log: (level: 'info' | 'warn', message: string) => void;
}

/** Milliseconds between two passes; after a failure the first pause, doubled each time up to the last. */
const PERIOD = { usual: 30_000, failed: 2_000, longest: 60_000 };

/**
 * The leader's policies in the cluster: always those of the configuration in force. What others change is put back, and
 * what is not needed any more goes, as far as this service made it.
 */
export class ManagedPolicies implements LeaderTask {
  readonly name = 'managed policies';

  constructor(private readonly options: ManagedPoliciesOptions) {}

  async lead(signal: AbortSignal): Promise<void> {
    const { config, log } = this.options;
    const problems = new ToldProblems(log);
    let failures = 0;
    while (!signal.aborted) {
      // What was managed before stays when that is turned off: somebody may have applied the same policies by hand since.
      if (!config.current().policies.manage) return;
      const failed = await this.pass(signal);
      problems.saw(failed, 'the policies in the cluster are those of the configuration again');
      failures = failed.length === 0 ? 0 : failures + 1;
      const pause = failures === 0 ? PERIOD.usual : Math.min(PERIOD.longest, PERIOD.failed * 2 ** (failures - 1));
      await config.pause(pause, signal);
    }
  }

  /** @returns what could not be done */
  private async pass(signal: AbortSignal): Promise<readonly string[]> {
    const { objects, config, namespace, caBundle } = this.options;
    const current = config.current();
    const { selector } = ownerOf(current, namespace);
    const problems: string[] = [];
    const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
      try {
        return await work();
      } catch (error) {
        problems.push(messageOf(error));
        return undefined;
      }
    };
    const wanted = await attempt(async () => wantedPolicies(current, { namespace, caBundle: await caBundle(current) }));
    if (wanted === undefined) return problems;
    const found = new Map<PolicyKind, readonly LivePolicy[]>();
    for (const kind of POLICY_KINDS) {
      const live = await attempt(() => objects.ours(kind, selector));
      if (live !== undefined) found.set(kind, live);
    }
    let applied = true;
    for (const object of wanted) {
      if (signal.aborted) return problems;
      const before = found.get(kindOf(object))?.find(({ metadata }) => metadata.name === object.metadata.name);
      const live = await attempt(() => this.apply(object, before));
      applied &&= live !== undefined;
    }
    // The policies before go on as long as those that follow them are not all there.
    if (applied) await this.removeOthers(wanted, found, signal, attempt);
    return problems;
  }

  private async apply(object: PolicyObject, before: LivePolicy | undefined): Promise<LivePolicy> {
    const { objects, log } = this.options;
    const what = `${object.kind} ${object.metadata.name}`;
    if (before === undefined) await this.refuseOfAnother(object);
    const applied = await objects.apply(object);
    const others = othersIn(applied);
    const live = others.length === 0 ? applied : await objects.replace(object, applied);
    if (before === undefined) log('info', `${what}: created`);
    else if (before.metadata.resourceVersion !== live.metadata.resourceVersion) {
      const fields = others.length === 0 ? '' : `; fields of ${others.join(', ')} are taken away`;
      log('info', `${what}: changed${fields}`);
    }
    return live;
  }

  /** Two installs that write one object would take it from each other for ever. */
  private async refuseOfAnother(object: PolicyObject): Promise<void> {
    const { objects, config, namespace } = this.options;
    const live = await objects.named(kindOf(object), object.metadata.name);
    const owner = live === undefined ? undefined : anotherOwner(live, ownerOf(config.current(), namespace));
    if (owner === undefined) return;
    throw new Error(
      `${object.kind} ${object.metadata.name}: is managed by another install, of Lease ${owner}: give one of them another policies.name, or delete it`,
    );
  }

  private async removeOthers(
    wanted: readonly PolicyObject[],
    found: ReadonlyMap<PolicyKind, readonly LivePolicy[]>,
    signal: AbortSignal,
    attempt: (work: () => Promise<void>) => Promise<void>,
  ): Promise<void> {
    const { objects, log } = this.options;
    for (const [kind, live] of found) {
      for (const object of live) {
        const { name } = object.metadata;
        if (wanted.some((one) => one.kind === kind.kind && one.metadata.name === name)) continue;
        if (signal.aborted) return;
        await attempt(async () => {
          await objects.remove(kind, object);
          log('info', `${kind.kind} ${name}: removed, the configuration does not need it any more`);
        });
      }
    }
  }
}
