import type { GcpConfig } from './config.js';
import { RegistryError } from '../../registry/errors.js';
import type { CloudEvent } from '../cloud.js';
import { artifactRegistryPlace } from './hosts.js';
import { missingReaders, withReaders } from './readers.js';
import type { RepositoryApi } from './repository-api.js';
import { desiredRepository, hasSettings, settingsDrift } from './settings.js';
import { messageOf } from '../../util/message-of.js';
import { sleep } from '../../util/sleep.js';
import { inTime } from '../../util/in-time.js';

export interface SettingsKeeperOptions {
  readonly gcp: GcpConfig;
  /** `target NAME`. */
  readonly registry: string;
  readonly api: RepositoryApi;
  readonly onEvent: (event: CloudEvent) => void;
  /** Milliseconds before a service's first check, and between two checks. @default 15000, 1800000 */
  readonly first?: number;
  readonly interval?: number;
  /** Milliseconds before a failed check is retried, doubled for each further one up to the interval. @default 60000 */
  readonly base?: number;
  readonly now?: () => number;
  readonly random?: () => number;
}

/**
 * Keeps the repository's settings and readers as configured: after its creation, soon after an image was pushed, and
 * periodically. The API returns all of it in one call (two with readers), so no tag is needed and manual changes are
 * also found. Without configured settings it makes no calls. No image waits for it or fails because of it.
 */
export class SettingsKeeper {
  readonly #stop = new AbortController();
  #check: Promise<void> | undefined;
  #next = 0;
  #failures = 0;

  constructor(private readonly options: SettingsKeeperOptions) {}

  /** Whether any settings are configured. */
  get active(): boolean {
    return this.options.gcp.reconcilePolicies && hasSettings(this.options.gcp);
  }

  /** Checks periodically until stopped. Never rejects. */
  async run(): Promise<void> {
    if (!this.active) return;
    const { first = 15_000, interval = 1_800_000, random = Math.random } = this.options;
    let pause = first;
    while (!this.#stop.signal.aborted) {
      // Spread over half of the interval, because replicas start together.
      const time = pause * (0.5 + 0.5 * random());
      await sleep(time, this.#stop.signal, { ref: false });
      if (!this.#stop.signal.aborted) await this.#checkOnce();
      pause = interval;
    }
  }

  /** An image was pushed to the repository, or already existed. */
  used(): void {
    const now = this.options.now ?? Date.now;
    if (this.active && now() >= this.#next) void this.#checkOnce();
  }

  /** The repository is new: it has its settings, but no readers yet. */
  created(): void {
    if (this.options.gcp.readers.length > 0 && this.active) void this.#checkOnce();
  }

  /** Resolves when no check is running any more, or after `milliseconds`. */
  async settled(milliseconds: number): Promise<void> {
    if (this.#check !== undefined) await inTime(this.#check, milliseconds, () => undefined);
  }

  stop(): void {
    this.#stop.abort();
  }

  #checkOnce(): Promise<void> {
    this.#check ??= this.#try().finally(() => (this.#check = undefined));
    return this.#check;
  }

  async #try(): Promise<void> {
    const { gcp, registry, onEvent, interval = 1_800_000, base = 60_000, now = Date.now } = this.options;
    const { path: repository } = artifactRegistryPlace(gcp);
    const event = { kind: 'repository', registry, repository, action: 'policies' } as const;
    try {
      const corrected = await this.#fix();
      this.#failures = 0;
      this.#next = now() + interval;
      if (corrected.length === 0) return;
      onEvent({
        ...event,
        outcome: 'ok',
        message: `${repository} had different settings for ${corrected.join(', ')}: reset as configured`,
      });
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#next = now() + Math.min(interval, base * 2 ** this.#failures++);
      const outcome = error instanceof RegistryError ? error.kind : 'invalid';
      onEvent({ ...event, outcome, message: messageOf(error) });
    }
  }

  /** @returns the keys that were corrected */
  async #fix(): Promise<readonly string[]> {
    const { gcp, registry, api, onEvent } = this.options;
    const { signal } = this.#stop;
    const repository = await api.get(signal);
    // The push that finds it missing reports it.
    if (repository === undefined) return [];
    const drift = settingsDrift(gcp, repository);
    const fixed = drift.flatMap(({ path }) => (path === undefined ? [] : [path]));
    const policy = gcp.readers.length === 0 ? undefined : await api.iamPolicy(signal);
    const readers = policy === undefined ? [] : missingReaders(policy, gcp.readers);
    const reportDrift = (drifted: boolean): void => onEvent({ kind: 'drift', registry, repositories: drifted ? 1 : 0 });
    reportDrift(drift.length > 0 || readers.length > 0);
    // Readers first: without them nodes cannot pull.
    if (policy !== undefined && readers.length > 0) await api.setIamPolicy(withReaders(policy, readers), signal);
    if (fixed.length > 0) await api.update(desiredRepository(gcp, repository), fixed, signal);
    reportDrift(drift.length > fixed.length);
    const keys = drift.filter(({ path }) => path !== undefined).map(({ key }) => key);
    return readers.length > 0 ? [...keys, 'readers'] : keys;
  }
}
