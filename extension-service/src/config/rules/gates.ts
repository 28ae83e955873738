import type { RuleContext } from './context.js';
import { targetsOf } from './registries.js';

/** A gate keeps an image out of its target, so nothing may name the target before the image is there. */
export function checkGates(context: RuleContext): void {
  for (const { path, config } of targetsOf(context)) {
    const gate = [...path, 'gate'];
    if (!context.isWritten(gate)) continue;
    const inForce = (key: 'imageSwapPolicy' | 'imageCopyPolicy') =>
      context.isWritten([...path, key]) ? config?.[key] : context.config[key];
    if (inForce('imageSwapPolicy') === 'always') {
      const message = 'conflicts with imageSwapPolicy always, which swaps images that the gate has not let through';
      context.error(gate, message, 'set imageSwapPolicy: exists for this target');
    }
    if (inForce('imageCopyPolicy') === 'none') {
      const message = 'conflicts with imageCopyPolicy none: only copies of the service pass the gate';
      context.error(gate, message, 'set imageCopyPolicy: delayed or immediate for this target');
    }
    const checks = Object.keys(config?.gate ?? {});
    if (context.isWhole(gate) && checks.length === 0) {
      context.error(gate, 'has no check', 'expected minimumAge or webhook');
    }
  }
}
