import type { Config } from '../core/config/model.js';
import { targetsOf } from '../core/config/registries.js';
import type { KeepReason } from '../core/decide/decide.js';
import { filterContainer, filterObject, podAnnotations } from '../core/decide/pod.js';
import { ORIGINAL_IMAGES_KEY } from '../core/decide/pod-additions.js';
import { engineOf } from '../core/engines/engines.js';
import { undecidedTest } from '../core/engines/mutating-admission-policy/undecided.js';
import type { Logger } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import { LogRateLimiter } from '../util/log-rate-limiter.js';
import type { AdmissionRequest, AdmissionResult } from './admission.js';
import type { TableState } from './table-knowledge.js';

export interface UnreadTableOptions {
  readonly current: () => Config;
  /** Whether the table has an image; undefined if another replica writes the table, and it has not been read yet. */
  readonly find: (name: string) => TableState | undefined;
  readonly metrics: Metrics;
  readonly log: Pick<Logger, 'warn'>;
  readonly now?: () => number;
}

/** Milliseconds after which Kyverno must have read an image of the table. */
const READ_WITHIN_MS = 60_000;
const LOG_INTERVAL_MS = 600_000;

/** Kyverno excludes these itself, so a container that is kept for another reason may be why it calls. */
const EXCLUDED_BY_KYVERNO: readonly KeepReason[] = [
  'existing-container',
  'volumes-off',
  'opted-out',
  'never-pulled',
  'in-target',
];

/**
 * Notices calls about Pods that Kyverno could decide with the table (`policies.table`). Kyverno reports nowhere that a
 * GlobalContextEntry has no data, and then calls the service about every Pod.
 */
export class UnreadTable {
  private readonly lines: LogRateLimiter;
  private readonly now: () => number;
  private undecided: { readonly of: Config; readonly test: ReturnType<typeof undecidedTest> } | undefined;

  constructor(private readonly options: UnreadTableOptions) {
    this.now = options.now ?? Date.now;
    this.lines = new LogRateLimiter(LOG_INTERVAL_MS, this.now);
  }

  /** Kyverno has called about this Pod. */
  observe(request: AdmissionRequest, result: AdmissionResult): void {
    const { current, metrics, log } = this.options;
    const config = current();
    if (engineOf(config.policies)?.table !== 'objects' || config.dryRun) return;
    if (!this.couldDecide(config, request, result)) return;
    metrics.tableUnread.inc();
    if (!this.lines.shouldLog('')) return;
    const { name } = config.policies;
    log.warn(
      {},
      `Kyverno calls about images that the table has had for a minute, so it does not read the table: check that the GlobalContextEntry ${name} has no error Events and that Kyverno may list imagetables.image-swapper.io. Deleting the entry makes Kyverno start again`,
    );
  }

  private couldDecide(config: Config, { pod, namespace }: AdmissionRequest, { containers }: AdmissionResult): boolean {
    if (podAnnotations(pod)[ORIGINAL_IMAGES_KEY] !== undefined) return false;
    const obj = filterObject(pod, namespace);
    const isUndecided = this.undecidedTest(config);
    const outside = containers.filter(
      ({ decision }) => decision.action === 'mirror' || !EXCLUDED_BY_KYVERNO.includes(decision.reason),
    );
    return (
      outside.length > 0 &&
      outside.every(({ decision, outcome }) => {
        // The table only has images that the targets have, and reading it takes a replica that does not write it some effort.
        if (decision.action !== 'mirror' || outcome !== 'swapped') return false;
        const { target, reference, container } = decision;
        if (target.copyPolicy === 'force' || target.platforms !== 'all') return false;
        return this.isKnown(reference.text) && !isUndecided(obj, filterContainer(container));
      })
    );
  }

  private isKnown(name: string): boolean {
    const found = this.options.find(name);
    if (found?.state !== 'present') return false;
    return found.since === undefined || this.now() - Date.parse(found.since) >= READ_WITHIN_MS;
  }

  private undecidedTest(config: Config): ReturnType<typeof undecidedTest> {
    if (this.undecided?.of !== config) {
      const test = undecidedTest({
        filters: config.source.filters.map(({ jmespath }) => jmespath),
        matches: targetsOf(config).flatMap(({ match }) => match ?? []),
      });
      this.undecided = { of: config, test };
    }
    return this.undecided.test;
  }
}
