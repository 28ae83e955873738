import type { Config } from '../core/config/model.js';
import type { Swap } from '../core/decide/answer.js';
import { decide, decideContainer } from '../core/decide/decide.js';
import type { ContainerDecision, DecisionInput, Mirror } from '../core/decide/decide.js';
import type { JsonObject } from '../core/decide/pod.js';
import type { Rules } from '../core/decide/rules.js';
import { formatReference } from '../core/image/reference.js';
import type { CopyStart, CopyWish } from '../mirror/copy-gate.js';
import type { MirrorJob, PullContext } from '../core/decide/mirror-job.js';
import { mirrorJob, pullContext, wantsFresh } from '../core/decide/mirror-job.js';
import type { CopyFailure } from '../registry/copy-failure.js';
import type { MirrorResult } from '../mirror/status.js';
import type { Existence } from '../targets/existence.js';
import type { TargetReference } from '../core/naming/name.js';

/** What admission needs of the rest of the service. Nothing here blocks longer than the budget it is given. */
export interface AdmissionDependencies {
  /** The configuration in force, asked anew by each request so that a reload changes it between two. */
  current(): { readonly config: Config; readonly rules: Rules };
  readonly existence: {
    known(reference: TargetReference): Existence | undefined;
    find(target: string, reference: TargetReference, deadline: Promise<void>): Promise<Existence>;
  };
  /** Starts a copy, joins one, or leaves it to another replica. */
  enqueue(job: MirrorJob, wish: CopyWish): CopyStart;
  readonly now: () => number;
}

/** Looks into targets for one list of bare images: a Pod has far fewer. */
const MAX_LOOKUPS = 100;

export interface AdmissionRequest extends DecisionInput {
  readonly uid: string;
  /** Whether the caller is authenticated, so that what it says about the Pod's pull secrets counts. */
  readonly trusted?: boolean;
  readonly dryRun: boolean;
}

export type Outcome = 'swapped' | 'kept' | 'dry-run';

/** One container's decision and what came of it. */
export interface ContainerOutcome {
  readonly decision: ContainerDecision;
  readonly outcome: Outcome;
  /** The image that the container ends with; under `dryRun` the one it would end with. */
  readonly image: string;
  readonly existence?: Existence;
  readonly copy?: 'started' | 'handed-over' | 'finished' | 'failed' | 'late';
}

export interface AdmissionResult {
  readonly containers: readonly ContainerOutcome[];
  readonly swaps: readonly Swap[];
  /** Set when `imageCopyFailure: deny` refuses the Pod. */
  readonly denied?: { readonly container: string; readonly failure: CopyFailure };
}

interface Settled {
  readonly outcome: ContainerOutcome;
  readonly denied?: CopyFailure;
}

/** Decides a Pod, looks into the targets within the budget, starts the copies, and says which images change. */
export class Admission {
  constructor(private readonly dependencies: AdmissionDependencies) {}

  async review(request: AdmissionRequest): Promise<AdmissionResult> {
    const { config, rules } = this.dependencies.current();
    const decisions = decide(rules, request);
    const mayCopy = !request.dryRun && !config.dryRun;
    const context = pullContext(request.pod, request.namespace);
    const pull: PullContext = request.trusted === true ? context : { ...context, unproven: true };
    const clock = new RequestClock(config, this.dependencies.now);
    try {
      const settled = await Promise.all(
        decisions.map((decision) =>
          this.settle(decision, config, clock, mayCopy ? (mirror, wish) => this.copy(mirror, pull, wish) : undefined),
        ),
      );
      return result(settled);
    } finally {
      clock.stop();
    }
  }

  /**
   * Decides bare image names, as Gatekeeper sends them. Never copies: dry runs are invisible there, and without the Pod
   * there are no pull secrets. The rules are those that can be decided so.
   */
  async reviewImages(images: readonly string[], obj: JsonObject, rules: Rules): Promise<ContainerOutcome[]> {
    const { config } = this.dependencies.current();
    const clock = new RequestClock(config, this.dependencies.now);
    const looked = new Set<string>();
    try {
      const settled = await Promise.all(
        images.map((image, index) => {
          const container = { list: 'containers' as const, index, name: '', image, object: { image } };
          const decision = decideContainer(rules, obj, container);
          if (decision.action === 'mirror') looked.add(decision.reference.text);
          const mayLook = looked.size <= MAX_LOOKUPS;
          return this.settle(decision, config, clock, undefined, mayLook);
        }),
      );
      return settled.map(({ outcome }) => outcome);
    } finally {
      clock.stop();
    }
  }

  private async settle(
    decision: ContainerDecision,
    config: Config,
    clock: RequestClock,
    copy: ((mirror: Mirror, wish: CopyWish) => CopyStart) | undefined,
    mayLook = true,
  ): Promise<Settled> {
    const { image } = decision.container;
    if (decision.action === 'keep') return { outcome: { decision, outcome: 'kept', image } };
    const { swapPolicy, copyPolicy, config: target } = decision.target;
    const copies = copyPolicy === 'none' ? undefined : copy;
    const wait = copies !== undefined && (copyPolicy === 'immediate' || copyPolicy === 'force');

    // `always` swaps without looking; memory alone tells whether a copy is worth starting.
    const existence =
      (swapPolicy === 'always' && !wait) || !mayLook
        ? this.dependencies.existence.known(decision.reference)
        : await this.dependencies.existence.find(target.name, decision.reference, clock.budget());
    const present = existence?.state === 'present';

    let state: ContainerOutcome['copy'];
    let arrived = false;
    let denied: CopyFailure | undefined;
    if (copies !== undefined && (!present || copyPolicy === 'force' || wantsFresh(decision))) {
      const waits = wait && (!present || copyPolicy === 'force');
      const swapped = swapPolicy === 'always' || present;
      const { handedOver, result: copying, letGo } = copies(decision, { waits, swapped });
      state = handedOver ? 'handed-over' : 'started';
      if (waits) {
        const waited = await Promise.race([copying, clock.deadline().then(() => undefined)]);
        if (waited === undefined) letGo?.();
        state = waited === undefined ? 'late' : waited.ok ? 'finished' : 'failed';
        arrived = waited?.ok === true;
        if (!arrived && config.imageCopyFailure === 'deny') denied = failureOf(decision, waited);
      }
    }
    const swap = swapPolicy === 'always' || present || arrived;
    return {
      outcome: {
        decision,
        outcome: !swap ? 'kept' : config.dryRun ? 'dry-run' : 'swapped',
        image: swap ? decision.reference.text : image,
        ...(existence !== undefined && { existence }),
        ...(state !== undefined && { copy: state }),
      },
      ...(denied !== undefined && { denied }),
    };
  }

  private copy(mirror: Mirror, pull: PullContext, wish: CopyWish): CopyStart {
    return this.dependencies.enqueue(mirrorJob(mirror, pull), wish);
  }
}

function failureOf(mirror: Mirror, waited: MirrorResult | undefined): CopyFailure {
  if (waited?.ok === false) return waited.failure;
  const message = `${formatReference(mirror.source)}: the copy did not finish within imageCopyDeadline`;
  return { reason: 'unreachable', message, retryable: true };
}

function result(settled: readonly Settled[]): AdmissionResult {
  const containers = settled.map(({ outcome }) => outcome);
  const swaps = containers
    .filter(({ outcome }) => outcome === 'swapped')
    .map(({ decision, image }) => ({ container: decision.container, image }));
  const refused = settled.find(({ denied }) => denied !== undefined);
  if (refused?.denied === undefined) return { containers, swaps };
  return {
    containers,
    swaps: [],
    denied: { container: refused.outcome.decision.container.name, failure: refused.denied },
  };
}

/** The two times of a request, each started when first asked for, measured for the request and not per container. */
class RequestClock {
  private readonly started: number;
  private readonly timers: NodeJS.Timeout[] = [];
  private budgetEnd: Promise<void> | undefined;
  private deadlineEnd: Promise<void> | undefined;

  constructor(
    private readonly config: Config,
    private readonly now: () => number,
  ) {
    this.started = now();
  }

  budget(): Promise<void> {
    return (this.budgetEnd ??= this.after(this.config.answerBudget));
  }

  deadline(): Promise<void> {
    return (this.deadlineEnd ??= this.after(this.config.imageCopyDeadline));
  }

  stop(): void {
    for (const timer of this.timers) clearTimeout(timer);
  }

  private after(milliseconds: number): Promise<void> {
    const left = Math.max(0, milliseconds - (this.now() - this.started));
    return new Promise((resolve) => this.timers.push(setTimeout(resolve, left)));
  }
}
