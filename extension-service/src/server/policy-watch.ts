import type { PolicyHashes } from '../core/engines/config-hashes.js';
import { ROUTES } from '../core/engines/routes.js';
import type { RouteName } from '../core/engines/routes.js';
import type { Logger } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';

/** Maximum hashes to log, each once; a caller that invents hashes must not fill the log. */
const MAX_REPORTED = 20;

/** With `policies.manage`. They differ for a moment after each change of the configuration. */
const BY_LEADER = "the leader applies the policies; if this continues, check the leader's log";

/** Detects policies in the cluster that were rendered for another configuration than the current one. */
export class PolicyWatch {
  private readonly reported = new Set<string>();

  constructor(
    private readonly expected: () => PolicyHashes,
    private readonly metrics: Pick<Metrics, 'policyMismatches'>,
    private readonly log: Pick<Logger, 'warn'>,
    /** Whether the service's leader applies the policies. */
    private readonly managed: () => boolean,
  ) {}

  /** @param hash the policy's configuration hash; undefined for policies without one */
  observe(route: RouteName, hash: string | undefined): void {
    if (hash === undefined) return;
    const expected = this.expected()[route];
    if (hash === expected) return;
    this.metrics.policyMismatches.inc({ route });
    this.tell(
      { route, policy: hash.slice(0, 64), expected },
      `the policy was rendered for another configuration: ${this.managed() ? BY_LEADER : 'render and apply it again (image-swapper policies)'}`,
    );
  }

  /** Gatekeeper called, and filters or targets need more than its requests contain: every image is kept. */
  cannotDecide(profile: string | undefined): void {
    const { gatekeeper } = this.expected();
    const remedy = this.managed()
      ? BY_LEADER
      : 'render and apply its policies for this configuration (image-swapper policies --engine gatekeeper)';
    this.tell(
      {
        route: 'gatekeeper',
        profile: (profile ?? '').slice(0, 64),
        expected: `${ROUTES.gatekeeper.configHash.prefix}${gatekeeper}`,
      },
      'Gatekeeper sent only images, but source.filters or targets[].match read the Pod: all images stay ' +
        `unchanged: ${remedy}`,
    );
  }

  private tell(fields: Readonly<Record<string, string>>, message: string): void {
    const key = `${message} ${Object.values(fields).join(' ')}`;
    if (this.reported.has(key) || this.reported.size >= MAX_REPORTED) return;
    this.reported.add(key);
    this.log.warn(fields, message);
  }
}
