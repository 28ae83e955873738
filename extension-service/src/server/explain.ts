import { explainDecisions } from '../core/decide/explain.js';
import type { Explanation } from '../core/decide/explain.js';
import { directTargets, directTargetText } from '../core/decide/direct-target.js';
import type { ContainerDecision, DecisionInput, Mirror } from '../core/decide/decide.js';
import { filterContainer, filterObject, isObject } from '../core/decide/pod.js';
import type { JsonObject } from '../core/decide/pod.js';
import type { Config } from '../core/config/model.js';
import { targetsOf } from '../core/config/registries.js';
import { engineOf } from '../core/engines/engines.js';
import { undecidedTest } from '../core/engines/mutating-admission-policy/undecided.js';
import { waitsForImage } from '../core/engines/waiting.js';
import type { Rules } from '../core/decide/rules.js';
import type { TargetReference } from '../core/naming/name.js';
import { mirrorJob, mirrorJobKey, pullContext } from '../core/decide/mirror-job.js';
import type { MirrorJob, PullContext } from '../core/decide/mirror-job.js';
import type { SourceAccess } from '../core/decide/source-access.js';
import { copyStatus } from '../mirror/status.js';
import type { CopyStatus, MirrorStatus } from '../mirror/status.js';
import type { Existence } from '../targets/existence.js';
import type { TableState } from './table-knowledge.js';
import { BadRequestError } from './admission-request.js';

/** Everything that explaining uses in addition to the rules. */
export interface ExplainDependencies {
  find(target: string, reference: TargetReference, deadline: Promise<void>): Promise<Existence>;
  /** As in `AdmissionDependencies`; absent if no source is checked. */
  access?(job: MirrorJob, digest: string | undefined, milliseconds: number): Promise<SourceAccess>;
  /** The copy of a reference in this process's queue; undefined if there is none or no queue. */
  findCopy(key: string): MirrorStatus | undefined;
  /**
   * Whether the API server's table contains the image; undefined if there is no table, or another replica writes it.
   */
  findInTable?(name: string): TableState | undefined;
  /**
   * Time limit in milliseconds for all target lookups.
   *
   * @default 5,000: users wait longer than admissions may
   */
  readonly timeoutMs?: number;
}

export interface ExplainedContainer extends Explanation {
  readonly existence?: Existence;
  readonly copy?: CopyStatus;
  /** With `source.accessCheck`: whether the Pod may read the image at its source. */
  readonly access?: SourceAccess;
  /** With the engine mutatingadmissionpolicy, or `policies.table`: whether the API server's table has the image. */
  readonly table?: TableState;
  /** With `policies.undecidable: webhook`: the service decides the Pod, because the API server cannot. */
  readonly decidedBy?: 'webhook';
  /** The checks of the target's gate, as in `minimumAge`, for an image that the target does not have. */
  readonly gate?: readonly string[];
  /** The image that the container would get now. */
  readonly result: string;
  readonly swapped: boolean;
  /** Maximum milliseconds that the Pod's admission waits for the copy; absent if it does not wait. */
  readonly waitsMs?: number;
  /** The result for the container if the copy is not done by then. */
  readonly otherwise?: 'kept' | 'swapped' | 'denied';
}

export interface ExplainAnswer {
  readonly namespace: string;
  readonly dryRun: boolean;
  readonly containers: readonly ExplainedContainer[];
  /** Why `source.directTarget: refuse` refuses the Pod; with `source.accessCheck`, unless the Pod can read the sources. */
  readonly refused?: readonly string[];
}

/** Maximum target lookups for one request, which may come from anyone who can reach the port. */
const MAX_LOOKUPS = 50;
const EXPLAIN_TIMEOUT_MS = 5_000;

/**
 * `POST /v1/explain`: a Pod, or `{"image", "namespace"?}`. Decides without changing or copying anything.
 *
 * @throws BadRequestError if it is neither
 */
export async function explainRequest(
  body: unknown,
  { config, rules }: { readonly config: Config; readonly rules: Rules },
  dependencies: ExplainDependencies,
): Promise<ExplainAnswer> {
  return explainInput(explainInputOf(body), { config, rules }, dependencies);
}

export async function explainInput(
  input: DecisionInput,
  { config, rules }: { readonly config: Config; readonly rules: Rules },
  dependencies: ExplainDependencies,
): Promise<ExplainAnswer> {
  let timer: NodeJS.Timeout | undefined;
  const { timeoutMs = EXPLAIN_TIMEOUT_MS } = dependencies;
  const deadline = new Promise<void>((resolve) => (timer = setTimeout(resolve, timeoutMs)));
  const looked = new Set<string>();
  const bounded: ExplainDependencies = {
    ...dependencies,
    find: async (target, reference, end) => {
      if (!looked.has(reference.text) && looked.size >= MAX_LOOKUPS) return NOT_CHECKED;
      looked.add(reference.text);
      return dependencies.find(target, reference, end);
    },
    findCopy: (key) => dependencies.findCopy(key),
  };
  try {
    const decisions = explainDecisions(rules, input);
    const isCalled = goesToWebhook(
      config,
      input,
      decisions.map(({ decision }) => decision),
    );
    const containers = await Promise.all(
      decisions.map(async ({ decision, explanation }): Promise<ExplainedContainer> => {
        if (decision.action === 'keep') return { ...explanation, result: explanation.image, swapped: false };
        const pull = pullContext(input.pod, input.namespace);
        return { ...explanation, ...(await checkTarget(decision, deadline, { config, pull, isCalled }, bounded)) };
      }),
    );
    const isGuarded = config.source.directTarget === 'refuse';
    const direct = isGuarded ? directTargets(rules, input).slice(0, MAX_LOOKUPS) : [];
    const unless = config.source.accessCheck === 'none' ? undefined : 'unless the Pod can read it at its source';
    return {
      namespace: input.namespace,
      dryRun: config.dryRun,
      containers,
      ...(direct.length > 0 && { refused: direct.map((one) => directTargetText(one, unless)) }),
    };
  } finally {
    clearTimeout(timer);
  }
}

const NOT_CHECKED: Existence = {
  state: 'unknown',
  reason: 'other',
  message: `one request checks at most ${MAX_LOOKUPS} images; send a separate request for this one`,
};

async function checkTarget(
  decision: Mirror,
  deadline: Promise<void>,
  { config, pull, isCalled }: { readonly config: Config; readonly pull: PullContext; readonly isCalled: boolean },
  dependencies: ExplainDependencies,
): Promise<Omit<ExplainedContainer, keyof Explanation>> {
  const { reference, target, container } = decision;
  const existence = await dependencies.find(target.config.name, reference, deadline);
  const copy = dependencies.findCopy(mirrorJobKey(reference, target.platforms));
  const isPresent = existence.state === 'present';
  const table = dependencies.findInTable?.(reference.text);
  const isTableFinal = !isCalled && engineOf(config.policies)?.table !== 'objects';
  const isFound = !isTableFinal || table === undefined ? isPresent : table.state === 'present';
  const wouldSwap = target.swapPolicy === 'always' || isFound;
  const access =
    wouldSwap && config.source.accessCheck !== 'none'
      ? await accessTo(decision, existence, pull, dependencies)
      : undefined;
  const swaps = wouldSwap && (access === undefined || access.state === 'granted') && !config.dryRun;
  return {
    existence,
    ...(copy !== undefined && { copy: copyStatus(copy) }),
    ...(access !== undefined && { access }),
    ...(table !== undefined && { table }),
    ...(isCalled && { decidedBy: 'webhook' as const }),
    ...(!isPresent && target.config.gate !== undefined && { gate: Object.keys(target.config.gate) }),
    result: swaps ? reference.text : container.image,
    swapped: swaps,
    ...(waits(config, target.copyPolicy, isPresent, isCalled) && {
      waitsMs: config.imageCopyDeadline,
      otherwise: config.imageCopyFailure === 'deny' ? 'denied' : swaps ? 'swapped' : 'kept',
    }),
  };
}

/** Whether the API server calls the service for a Pod that it could decide in other cases without a call. */
function goesToWebhook(config: Config, input: DecisionInput, decisions: readonly ContainerDecision[]): boolean {
  if (engineOf(config.policies)?.decides.startsSomeCopies !== true) return false;
  const isUndecided = undecidedTest({
    filters: config.source.filters.map(({ jmespath }) => jmespath),
    matches: targetsOf(config).flatMap(({ match }) => match ?? []),
  });
  const obj = filterObject(input.pod, input.namespace);
  return decisions.some(
    (decision) =>
      (decision.action === 'mirror' || decision.reason === 'filtered' || decision.reason === 'no-target') &&
      isUndecided(obj, filterContainer(decision.container)),
  );
}

/** Whether admission waits for a copy. */
function waits({ dryRun, policies }: Config, copyPolicy: string, isPresent: boolean, isCalled: boolean): boolean {
  if (dryRun || (engineOf(policies)?.decides.startsCopies === false && !isCalled)) return false;
  return waitsForImage(copyPolicy, isPresent);
}

async function accessTo(
  decision: Mirror,
  existence: Existence,
  pull: PullContext,
  dependencies: ExplainDependencies,
): Promise<SourceAccess> {
  if (dependencies.access === undefined)
    return { state: 'unknown', message: 'the source was not checked: use --server to ask the service' };
  const digest = existence.state === 'present' ? existence.digest : undefined;
  return dependencies.access(mirrorJob(decision, pull), digest, EXPLAIN_TIMEOUT_MS);
}

/** A Pod from a user's file, or one image. */
export function explainInputOf(body: unknown): DecisionInput {
  if (!isObject(body)) throw new BadRequestError('invalid_request', 'send a Pod, or {"image": …, "namespace": …}');
  const { image, namespace } = body;
  if (typeof image === 'string') {
    return inputOf(
      { spec: { containers: [{ name: 'container', image }] } },
      typeof namespace === 'string' ? namespace : '',
    );
  }
  if (body['kind'] !== undefined && body['kind'] !== 'Pod') {
    throw new BadRequestError('wrong_kind', `kind ${JSON.stringify(body['kind'])}: only Pods can be explained`);
  }
  if (!isObject(body['spec'])) {
    throw new BadRequestError('invalid_request', 'this is neither a Pod (it has no spec) nor {"image": …}');
  }
  return inputOf(body, '');
}

function inputOf(pod: JsonObject, namespace: string): DecisionInput {
  const metadata = isObject(pod['metadata']) ? pod['metadata'] : {};
  const own = typeof metadata['namespace'] === 'string' ? metadata['namespace'] : '';
  return { pod, namespace: namespace || own || 'default', operation: 'CREATE' };
}
