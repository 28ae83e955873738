import type { PolicyObject } from '../../policies/objects.js';
import { checkFilters, resolvePodOptions } from '../../policies/options.js';
import { undecidedImages } from '../../policies/pod-conditions.js';
import { InvalidPolicyOptionError } from '../../policies/problem.js';
import type { EngineInput } from '../engine.js';
import { renderMutatingWebhook } from '../webhook/mutating-webhook.js';
import { tableHash } from './table-hash.js';
import { filterConditions, matchConditions, MAX_EXPRESSION_CHARACTERS, undecidedBy } from './limits.js';

/**
 * The webhook for the Pods with an image that CEL cannot decide; none if CEL can decide all of them.
 *
 * @throws InvalidPolicyOptionError
 */
export function undecidedWebhook({ call, decided, own, ...options }: EngineInput): readonly PolicyObject[] {
  void own;
  const { url, caBundle, credentials } = call;
  const filters = filterConditions(checkFilters(options.filters), 'webhook');
  const undecided = undecidedBy(
    filters,
    (decided?.targets ?? []).map((target) => matchConditions(target, 'webhook')),
  );
  if (undecided.length === 0) return [];
  const condition = undecidedImages(undecided, {
    targets: options.targets,
    excluded: filters.place,
    pods: resolvePodOptions(options.pods),
  });
  if (condition.expression.length > MAX_EXPRESSION_CHARACTERS) {
    throw new InvalidPolicyOptionError(
      'filters',
      `and targets[].match are too long in total: the condition of the webhook has more than ${MAX_EXPRESSION_CHARACTERS} characters`,
    );
  }
  const hash = options.filters && decided && tableHash({ ...options, filters: options.filters, decided });
  const webhook = renderMutatingWebhook({
    ...{ ...options, url },
    ...(hash !== undefined && { hash }),
    ...(caBundle !== undefined && { caBundle }),
    ...(credentials?.path !== undefined && { callerPath: credentials.path }),
  });
  return [
    {
      ...webhook,
      webhooks: webhook.webhooks.map((one) => ({ ...one, matchConditions: [...one.matchConditions, condition] })),
    },
  ];
}
