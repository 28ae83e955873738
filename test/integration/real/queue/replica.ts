import type { Config, QueueConfig } from '../../../../extension-service/src/core/config/model.js';
import { compileRules } from '../../../../extension-service/src/core/decide/rules.js';
import { mirrorJobKey } from '../../../../extension-service/src/core/decide/mirror-job.js';
import type { MirrorJob } from '../../../../extension-service/src/core/decide/mirror-job.js';
import { namingTarget } from '../../../../extension-service/src/kinds/registry-naming.js';
import { CopyFailedError } from '../../../../extension-service/src/registry/copy-failure.js';
import { SharedCopier } from '../../../../extension-service/src/shared-queue/shared-copier.js';
import type { QueueReport } from '../../../../extension-service/src/shared-queue/shared-queue.js';
import { HeldCopier, job } from '../../../unit/mirror/queue-world.js';
import { configOf } from '../../../unit/decide/rules-of.js';
import { until } from '../../../fakes/until.js';

/** Returns a job with the key that these replicas' configuration gives it. */
export function imageJob(name: string, tag = 'latest', from = 'docker.io'): MirrorJob {
  const one = job(name, { from });
  const text = one.reference.text.replace('latest', tag);
  const reference = { ...one.reference, text, tag, shownAs: tag, published: tag };
  return { ...one, key: mirrorJobKey(reference, 'all'), source: one.source.replace('latest', tag), reference };
}

export interface ReplicaOptions {
  readonly concurrency?: number;
  readonly install?: string;
  readonly isShown?: boolean;
  /** Milliseconds between two checks whether the server is still fit. */
  readonly checkInterval?: number;
}

/** Copies that an abort ends, like real copies. */
class AbortableCopier extends HeldCopier {
  override copy(...args: Parameters<HeldCopier['copy']>): ReturnType<HeldCopier['copy']> {
    const [, signal] = args;
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
    });
    return Promise.race([super.copy(...args), aborted]);
  }
}

/** One replica's side of the queue, with its requests. Its copies end when the test ends them. */
export class Replica {
  readonly held = new AbortableCopier();
  readonly log: string[] = [];
  report: QueueReport | undefined;
  readonly #copier: SharedCopier;
  readonly #config: Config;

  constructor(queue: Partial<QueueConfig> & Pick<QueueConfig, 'type'>, options: ReplicaOptions = {}) {
    const { concurrency = 4, install = 'this install', isShown = false, checkInterval } = options;
    const base = configOf();
    const mirror = { ...base.mirror, concurrency, perSource: concurrency };
    this.#config = { ...base, mirror, queue: { ...base.queue, ...queue } };
    this.#copier = new SharedCopier({
      config: this.#config,
      ...(checkInterval !== undefined && { checkInterval }),
      rulesOf: (config) => compileRules(config, namingTarget),
      copier: this.held,
      isShown: () => Promise.resolve(isShown),
      install: () => Promise.resolve({ id: install, title: install }),
      readSecretKey: () => Promise.reject(new Error('no Secret is expected')),
      onReport: (report) => (this.report = report),
      log: (level, message) => this.log.push(`${level} ${message}`),
    });
  }

  /** @returns the digest, or the reason of the failure */
  async ask(job: MirrorJob, signal = new AbortController().signal): Promise<string> {
    try {
      return (await this.#copier.copy(job, signal, () => undefined)).digest;
    } catch (error) {
      if (error instanceof CopyFailedError) return error.failure.reason;
      throw error;
    }
  }

  connected(): Promise<void> {
    return until(`a connection: ${this.log.join('\n')}`, () => this.report?.isUp === true);
  }

  /** Applies the configuration again, as after a reload. */
  reload(): void {
    this.#copier.configure(this.#config);
  }

  /** Applies a configuration without a queue server. */
  leaveQueue(): void {
    this.#copier.configure({ ...this.#config, queue: { ...this.#config.queue, type: 'memory' } });
  }

  /** The number of replicas by which quotas are divided. */
  get replicas(): number {
    return this.#copier.replicas;
  }

  drain(grace = 0): Promise<void> {
    return this.#copier.drain(grace);
  }
}

/** Ends each copy that a replica starts, until the work has ended. */
export async function endAll<T>(replicas: readonly Replica[], work: Promise<T>): Promise<T> {
  const timer = setInterval(() => {
    for (const { held } of replicas) for (const copy of held.started) copy.end();
  }, 20);
  return work.finally(() => clearInterval(timer));
}
