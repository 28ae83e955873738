import { decide } from '../../../extension-service/src/core/decide/decide.js';
import { imagePlace, withImage } from '../../../extension-service/src/core/decide/image-places.js';
import type { JsonObject } from '../../../extension-service/src/core/decide/pod.js';
import type { Rules } from '../../../extension-service/src/core/decide/rules.js';

/** Returns the Pod after an admission in which the targets have all of its images. */
export function applySwaps(rules: Rules, pod: JsonObject, namespace: string): JsonObject {
  const copy = structuredClone(pod) as { spec?: Record<string, JsonObject[]> };
  for (const decision of decide(rules, { pod, namespace, operation: 'CREATE' })) {
    if (decision.action !== 'mirror') continue;
    const { list, image } = imagePlace(decision.container.list);
    const entries = copy.spec?.[list] ?? [];
    const entry = entries[decision.container.index];
    if (entry !== undefined) entries[decision.container.index] = withImage(entry, image, decision.reference.text);
  }
  return copy;
}
