import type { Logger } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';

/** A hash is told to the log once; somebody who invents them must not fill it. */
const MOST_TOLD = 20;

/** Notices policies in the cluster that were rendered for another configuration than the one in force. */
export class PolicyWatch {
  private readonly told = new Set<string>();

  constructor(
    private readonly expected: () => { readonly kyverno: string; readonly gatekeeper: string },
    private readonly metrics: Pick<Metrics, 'policyMismatches'>,
    private readonly log: Pick<Logger, 'warn'>,
  ) {}

  /** @param hash what the policy says that it was rendered for; undefined from policies that say nothing */
  saw(route: 'kyverno' | 'gatekeeper', hash: string | undefined): void {
    if (hash === undefined) return;
    const expected = this.expected()[route];
    if (hash === expected) return;
    this.metrics.policyMismatches.inc({ route });
    const key = `${route} ${hash} ${expected}`;
    if (this.told.has(key) || this.told.size >= MOST_TOLD) return;
    this.told.add(key);
    this.log.warn(
      { route, policy: hash.slice(0, 64), expected },
      'the policy was rendered for another configuration: render and apply it again (image-swapper policies)',
    );
  }
}
