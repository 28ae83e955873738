import { decide } from '../../../extension-service/src/core/decide/decide.js';
import type { JsonObject } from '../../../extension-service/src/core/decide/pod.js';
import type { Rules } from '../../../extension-service/src/core/decide/rules.js';

/** The Pod as it is after an admission at which the targets had all of its images. */
export function applySwaps(rules: Rules, pod: JsonObject, namespace: string): JsonObject {
  const copy = structuredClone(pod) as { spec?: Record<string, { image: string }[]> };
  for (const decision of decide(rules, { pod, namespace, operation: 'CREATE' })) {
    if (decision.action !== 'mirror') continue;
    const { list, index } = decision.container;
    const container = copy.spec?.[list]?.[index];
    if (container !== undefined) container.image = decision.reference.text;
  }
  return copy;
}
