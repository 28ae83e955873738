import { waitsForCopy, waitsForImage } from '../core/engines/waiting.js';
import type { Config } from '../core/config/model.js';
import type { Swap } from '../core/decide/answer.js';
import { decide, decideContainer } from '../core/decide/decide.js';
import type { ContainerDecision, DecisionInput, Mirror } from '../core/decide/decide.js';
import { podAdditions } from '../core/decide/pod-additions.js';
import type { PodAdditions } from '../core/decide/pod-additions.js';
import { imagePlace } from '../core/decide/image-places.js';
import type { JsonObject } from '../core/decide/pod.js';
import type { Rules } from '../core/decide/rules.js';
import { formatReference } from '../core/image/reference.js';
import type { CopyStart, CopyRequest } from '../mirror/copy-gate.js';
import type { MirrorJob, PullContext } from '../core/decide/mirror-job.js';
import { mirrorJob, pullContext, needsFreshLookup } from '../core/decide/mirror-job.js';
import type { CopyFailure } from '../registry/copy-failure.js';
import type { MirrorResult } from '../mirror/status.js';
import type { Existence } from '../targets/existence.js';
import type { TargetReference } from '../core/naming/name.js';
import { POD_NOT_FOUND } from '../core/decide/source-access.js';
import type { SourceAccess } from '../core/decide/source-access.js';
import type { Denial } from './denial.js';
import { DirectTargetGuard } from './direct-target-guard.js';
import { RequestClock } from './request-clock.js';

/** Dependencies of admission on the rest of the service. None of them blocks longer than its time budget. */
export interface AdmissionDependencies {
  /** The current configuration, read by each request, so that a reload takes effect between two requests. */
  current(): { readonly config: Config; readonly rules: Rules };
  readonly existence: {
    known(reference: TargetReference): Existence | undefined;
    find(target: string, reference: TargetReference, deadline: Promise<void>): Promise<Existence>;
  };
  /** Whether a Pod may read an image at its source; never rejects, and answers within the given milliseconds. */
  readonly access: (job: MirrorJob, digest: string | undefined, milliseconds: number) => Promise<SourceAccess>;
  /** Starts a copy, joins one, or leaves it to another replica. */
  enqueue(job: MirrorJob, wish: CopyRequest): CopyStart;
  readonly now: () => number;
}

/** Maximum target lookups for one list of bare images: a Pod has far fewer. */
const MAX_LOOKUPS = 100;

export interface AdmissionRequest extends DecisionInput {
  readonly uid: string;
  /** Whether the caller is authenticated, so that its information about the Pod's pull secrets is trusted. */
  readonly trusted?: boolean;
  readonly dryRun: boolean;
}

export type Outcome = 'swapped' | 'kept' | 'dry-run';

/** The decision for one container and its result. */
export interface ContainerOutcome {
  readonly decision: ContainerDecision;
  readonly outcome: Outcome;
  /** The container's final image; under `dryRun` the one that it would get. */
  readonly image: string;
  readonly existence?: Existence;
  readonly copy?: 'started' | 'handed-over' | 'finished' | 'failed' | 'late';
  /** Why an image is kept because of `source.accessCheck`. */
  readonly noAccess?: Exclude<SourceAccess, { state: 'granted' }>;
}

export interface AdmissionResult {
  readonly containers: readonly ContainerOutcome[];
  readonly swaps: readonly Swap[];
  /** Absent: none. */
  readonly additions?: PodAdditions;
  /** Set when `imageCopyFailure: deny` or `source.directTarget: refuse` refuses the Pod. */
  readonly denied?: Denial;
}

interface Settled {
  readonly outcome: ContainerOutcome;
  readonly denied?: CopyFailure;
}

/** The part of a request that all containers share. */
interface SettleOptions {
  readonly config: Config;
  readonly clock: RequestClock;
  /** Absent: the Pod is unknown. */
  readonly pull?: PullContext;
  readonly mayCopy: boolean;
}

/**
 * Decides a Pod, looks up its images in the targets within the budget, starts the copies, and returns the changed
 * images.
 */
export class Admission {
  private readonly direct: DirectTargetGuard;

  constructor(private readonly dependencies: AdmissionDependencies) {
    this.direct = new DirectTargetGuard(dependencies);
  }

  async review(request: AdmissionRequest): Promise<AdmissionResult> {
    const { config, rules } = this.dependencies.current();
    const decisions = decide(rules, request);
    const mayCopy = !request.dryRun && !config.dryRun;
    const context = pullContext(request.pod, request.namespace);
    const pull: PullContext = request.trusted === true ? context : { ...context, unproven: true };
    const clock = new RequestClock(config, this.dependencies.now);
    try {
      const denied = await this.direct.refusal({ config, rules, request, pull, clock });
      if (denied !== undefined) return { containers: decisions.map(kept), swaps: [], denied };
      const settling: SettleOptions = { config, clock, pull, mayCopy };
      const settled = await Promise.all(decisions.map((decision) => this.settle(decision, settling)));
      const answer = result(settled);
      this.direct.swapped(config, answer.swaps, pull);
      return withAdditions(answer, config, request);
    } finally {
      clock.stop();
    }
  }

  /**
   * Decides bare image names, as sent by Gatekeeper. Never copies: dry runs are invisible there, and without the Pod
   * there are no pull secrets. Only uses rules that can be decided from images alone.
   */
  async reviewImages(images: readonly string[], obj: JsonObject, rules: Rules): Promise<ContainerOutcome[]> {
    const { config } = this.dependencies.current();
    const clock = new RequestClock(config, this.dependencies.now);
    const lookedUp = new Set<string>();
    try {
      const settled = await Promise.all(
        images.map((image, index) => {
          const container = { list: 'containers' as const, index, name: '', image, object: { image } };
          const decision = decideContainer(rules, obj, container);
          if (decision.action === 'mirror') lookedUp.add(decision.reference.text);
          const mayLook = lookedUp.size <= MAX_LOOKUPS;
          return this.settle(decision, { config, clock, mayCopy: false }, mayLook);
        }),
      );
      return settled.map(({ outcome }) => outcome);
    } finally {
      clock.stop();
    }
  }

  private async settle(
    decision: ContainerDecision,
    { config, clock, pull, mayCopy }: SettleOptions,
    mayLookUp = true,
  ): Promise<Settled> {
    const { image } = decision.container;
    if (decision.action === 'keep') return { outcome: kept(decision) };
    const { swapPolicy, copyPolicy, config: target } = decision.target;
    const copies = mayCopy && copyPolicy !== 'none';
    const mayWait = copies && waitsForCopy(copyPolicy);

    // `always` swaps without a lookup; only the cache shows whether a copy is needed.
    const existence =
      (swapPolicy === 'always' && !mayWait) || !mayLookUp
        ? this.dependencies.existence.known(decision.reference)
        : await this.dependencies.existence.find(target.name, decision.reference, clock.budget());
    const present = existence?.state === 'present';

    let state: ContainerOutcome['copy'];
    let arrived: string | undefined;
    let hasWaited = false;
    let denied: CopyFailure | undefined;
    if (copies && (!present || copyPolicy === 'force' || needsFreshLookup(decision))) {
      const isAwaited = waitsForImage(copyPolicy, present);
      const swapped = swapPolicy === 'always' || present;
      const { handedOver, result: copying, release } = this.copy(decision, pull, { isAwaited, swapped });
      state = handedOver ? 'handed-over' : 'started';
      if (isAwaited) {
        hasWaited = true;
        const waited = await Promise.race([copying, clock.deadline().then(() => undefined)]);
        if (waited === undefined) release?.();
        state = waited === undefined ? 'late' : waited.ok ? 'finished' : 'failed';
        arrived = waited?.ok === true ? waited.outcome.digest : undefined;
        if (arrived === undefined && config.imageCopyFailure === 'deny') denied = failureOf(decision, waited);
      }
    }
    const maySwap = swapPolicy === 'always' || present || arrived !== undefined;
    const digest = arrived ?? (present ? existence.digest : undefined);
    const left = hasWaited ? clock.leftOfDeadline() : clock.remainingBudget();
    const noAccess = maySwap ? await this.noAccess(decision, { config, pull }, digest, left) : undefined;
    const swap = maySwap && noAccess === undefined;
    return {
      outcome: {
        decision,
        outcome: !swap ? 'kept' : config.dryRun ? 'dry-run' : 'swapped',
        image: swap ? decision.reference.text : image,
        ...(existence !== undefined && { existence }),
        ...(state !== undefined && { copy: state }),
        ...(noAccess !== undefined && { noAccess }),
      },
      ...(denied !== undefined && { denied }),
    };
  }

  /** Why `source.accessCheck` keeps the image; undefined if it does not. */
  private async noAccess(
    mirror: Mirror,
    { config, pull }: { readonly config: Config; readonly pull: PullContext | undefined },
    digest: string | undefined,
    milliseconds: number,
  ): Promise<ContainerOutcome['noAccess']> {
    if (config.source.accessCheck === 'none') return undefined;
    if (pull === undefined) return POD_NOT_FOUND;
    const access = await this.dependencies.access(mirrorJob(mirror, pull), digest, milliseconds);
    return access.state === 'granted' ? undefined : access;
  }

  private copy(mirror: Mirror, pull: PullContext | undefined, wish: CopyRequest): CopyStart {
    return this.dependencies.enqueue(mirrorJob(mirror, pull), wish);
  }
}

function kept(decision: ContainerDecision): ContainerOutcome {
  return { decision, outcome: 'kept', image: decision.container.image };
}

function failureOf(mirror: Mirror, waited: MirrorResult | undefined): CopyFailure {
  if (waited?.ok === false) return waited.failure;
  const message = `${formatReference(mirror.source)}: the copy did not finish within imageCopyDeadline`;
  return { reason: 'unreachable', message, retryable: true };
}

function withAdditions(result: AdmissionResult, { pods }: Config, request: AdmissionRequest): AdmissionResult {
  if (pods.pullSecret === undefined && !pods.annotate) return result;
  return { ...result, additions: podAdditions(pods, request, result.swaps) };
}

function result(settled: readonly Settled[]): AdmissionResult {
  const containers = settled.map(({ outcome }) => outcome);
  const swaps = containers
    .filter(({ outcome }) => outcome === 'swapped')
    .map(({ decision, image }) => ({ container: decision.container, image }));
  const refused = settled.find(({ denied }) => denied !== undefined);
  if (refused?.denied === undefined) return { containers, swaps };
  const { reason, message, gate } = refused.denied;
  const status = gate?.verdict === 'denied' ? 403 : 502;
  const { list, name } = refused.outcome.decision.container;
  return {
    containers,
    swaps: [],
    denied: { kind: imagePlace(list).kind, container: name, reason, message, status },
  };
}
