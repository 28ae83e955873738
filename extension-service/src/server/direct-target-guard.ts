import type { Config } from '../core/config/model.js';
import type { Swap } from '../core/decide/answer.js';
import type { DecisionInput } from '../core/decide/decide.js';
import { directTargets, directTargetText } from '../core/decide/direct-target.js';
import type { DirectTarget } from '../core/decide/direct-target.js';
import { mirrorJobKey } from '../core/decide/mirror-job.js';
import type { MirrorJob, PullContext } from '../core/decide/mirror-job.js';
import type { Rules } from '../core/decide/rules.js';
import { formatReference } from '../core/image/reference.js';
import { BoundedMap } from '../util/bounded-map.js';
import type { SourceAccess } from '../core/decide/source-access.js';
import type { TargetReference } from '../core/naming/name.js';
import type { Existence } from '../targets/existence.js';
import type { Denial } from './denial.js';
import type { RequestClock } from './request-clock.js';

/** Maximum images whose sources are checked for one Pod; no real Pod names as many mirrored images. */
const MAX_CHECKED = 50;
/** Milliseconds in which an engine may call again for a Pod that it has swapped. */
const RECENT_SWAP_MS = 5 * 60_000;
const MAX_RECENT_SWAPS = 20_000;

/** As in `AdmissionDependencies`. */
export interface DirectTargetDependencies {
  readonly existence: {
    find(target: string, reference: TargetReference, deadline: Promise<void>): Promise<Existence>;
  };
  readonly access: (job: MirrorJob, digest: string | undefined, milliseconds: number) => Promise<SourceAccess>;
  readonly now: () => number;
}

export interface DirectTargetRequest {
  readonly config: Config;
  readonly rules: Rules;
  readonly request: DecisionInput;
  readonly pull: PullContext;
  readonly clock: RequestClock;
}

/** `source.directTarget: refuse`: Pods that themselves name a mirrored image. */
export class DirectTargetGuard {
  private readonly own = new BoundedMap<string, number>(MAX_RECENT_SWAPS);

  constructor(private readonly dependencies: DirectTargetDependencies) {}

  /** Why the Pod is refused; undefined if it is not. */
  async refusal(asked: DirectTargetRequest): Promise<Denial | undefined> {
    const { config, rules, request, pull } = asked;
    if (config.source.directTarget !== 'refuse' || config.dryRun) return undefined;
    const named = directTargets(rules, request).filter(({ image }) => !this.isOwnSwap(image, pull));
    const [first] = named;
    if (first === undefined) return undefined;
    if (config.source.accessCheck === 'none') return denial(first);
    if (named.length > MAX_CHECKED) return denial(first, `the Pod has more than ${MAX_CHECKED} such images`);
    const denials = await Promise.all(named.map((direct) => this.withoutAccess(direct, asked)));
    return denials.find((one) => one !== undefined);
  }

  /** Remembers swapped Pods: an engine may call again for the Pod after another webhook has changed it. */
  swapped({ source }: Config, swaps: readonly Swap[], pull: PullContext): void {
    if (source.directTarget !== 'refuse') return;
    for (const { image } of swaps) this.own.set(keyOf(image, pull), this.dependencies.now() + RECENT_SWAP_MS);
  }

  private isOwnSwap(image: string, pull: PullContext): boolean {
    return (this.own.get(keyOf(image, pull)) ?? 0) > this.dependencies.now();
  }

  private async withoutAccess(direct: DirectTarget, { pull, clock }: DirectTargetRequest): Promise<Denial | undefined> {
    const { source, reference, target } = direct;
    if (source === undefined || reference === undefined) {
      return denial(direct, 'its name is shortened and does not reveal its source');
    }
    const existence = await this.dependencies.existence.find(target.config.name, reference, clock.budget());
    const digest = existence.state === 'present' ? existence.digest : undefined;
    const job: MirrorJob = {
      key: mirrorJobKey(reference, target.platforms),
      source: formatReference(source),
      target: target.config.name,
      reference,
      platforms: target.platforms,
      force: false,
      pull,
    };
    const access = await this.dependencies.access(job, digest, clock.remainingBudget());
    return access.state === 'granted' ? undefined : denial(direct, access.message);
  }
}

function denial(direct: DirectTarget, why?: string): Denial {
  return {
    kind: direct.kind,
    container: direct.name,
    reason: 'direct-target',
    message: directTargetText(direct, why),
    status: 403,
  };
}

function keyOf(image: string, { namespace, serviceAccount, secretNames }: PullContext): string {
  return JSON.stringify([image, namespace, serviceAccount, secretNames]);
}
