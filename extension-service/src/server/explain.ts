import { explainDecisions } from '../core/decide/explain.js';
import type { Explanation } from '../core/decide/explain.js';
import type { DecisionInput, Mirror } from '../core/decide/decide.js';
import { isObject } from '../core/decide/pod.js';
import type { JsonObject } from '../core/decide/pod.js';
import type { Config } from '../core/config/model.js';
import type { Rules } from '../core/decide/rules.js';
import type { TargetReference } from '../core/naming/name.js';
import { mirrorJobKey } from '../core/decide/mirror-job.js';
import { copyStatus } from '../mirror/status.js';
import type { CopyStatus, MirrorStatus } from '../mirror/status.js';
import type { Existence } from '../targets/existence.js';
import { BadRequestError } from './admission-request.js';

/** What explaining looks into besides the rules. */
export interface ExplainDependencies {
  find(target: string, reference: TargetReference, deadline: Promise<void>): Promise<Existence>;
  /** The copy of a reference in the queue of this process; undefined when there is none or no queue. */
  findCopy(key: string): MirrorStatus | undefined;
}

export interface ExplainedContainer extends Explanation {
  readonly existence?: Existence;
  readonly copy?: CopyStatus;
  /** The image that the container would get now. */
  readonly result: string;
  readonly swapped: boolean;
}

export interface ExplainAnswer {
  readonly namespace: string;
  readonly dryRun: boolean;
  readonly containers: readonly ExplainedContainer[];
}

/** Looks into targets for one request: it may come from anybody who reaches the port. */
const MAX_LOOKUPS = 50;
/** People wait longer than an admission may: milliseconds for looking into the target. */
const EXPLAIN_TIMEOUT_MS = 5_000;

/**
 * `POST /v1/explain`: a Pod, or `{"image", "namespace"?}`. Decides without changing or copying anything.
 *
 * @throws BadRequestError when it is neither
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
  const deadline = new Promise<void>((resolve) => (timer = setTimeout(resolve, EXPLAIN_TIMEOUT_MS)));
  const looked = new Set<string>();
  const bounded: ExplainDependencies = {
    ...dependencies,
    find: async (target, reference, end) => {
      if (!looked.has(reference.text) && looked.size >= MAX_LOOKUPS) return NOT_LOOKED;
      looked.add(reference.text);
      return dependencies.find(target, reference, end);
    },
    findCopy: (key) => dependencies.findCopy(key),
  };
  try {
    const containers = await Promise.all(
      explainDecisions(rules, input).map(async ({ decision, explanation }): Promise<ExplainedContainer> => {
        if (decision.action === 'keep') return { ...explanation, result: explanation.image, swapped: false };
        return { ...explanation, ...(await lookInto(decision, deadline, config.dryRun, bounded)) };
      }),
    );
    return { namespace: input.namespace, dryRun: config.dryRun, containers };
  } finally {
    clearTimeout(timer);
  }
}

const NOT_LOOKED: Existence = {
  state: 'unknown',
  reason: 'other',
  message: `one request looks for ${MAX_LOOKUPS} images at most; ask for this one alone`,
};

async function lookInto(
  decision: Mirror,
  deadline: Promise<void>,
  dryRun: boolean,
  dependencies: ExplainDependencies,
): Promise<Pick<ExplainedContainer, 'existence' | 'copy' | 'result' | 'swapped'>> {
  const { reference, target, container } = decision;
  const existence = await dependencies.find(target.config.name, reference, deadline);
  const copy = dependencies.findCopy(mirrorJobKey(reference, target.platforms));
  const swaps = (target.swapPolicy === 'always' || existence.state === 'present') && !dryRun;
  return {
    existence,
    ...(copy !== undefined && { copy: copyStatus(copy) }),
    result: swaps ? reference.text : container.image,
    swapped: swaps,
  };
}

/** A Pod as people have it in a file, or one image. */
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
    throw new BadRequestError('wrong_kind', `kind ${JSON.stringify(body['kind'])}: only a Pod can be explained`);
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
