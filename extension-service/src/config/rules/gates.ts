import type { GateVerifyConfig } from '../../core/config/model.js';
import type { Parsed } from '../../schema/parsed.js';
import type { Path } from '../tree.js';
import type { RuleContext } from './context.js';
import { targetsOf } from './registries.js';

/** A gate keeps an image out of its target, so no Pod may name the target before the image is there. */
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
    checkSigners(context, [...gate, 'verify'], config?.gate?.verify);
    const checks = Object.keys(config?.gate ?? {});
    if (context.isComplete(gate) && checks.length === 0) {
      context.error(gate, 'has no check', 'expected minimumAge, verify or webhook');
    }
  }
}

/** A gate needs a trusted signer, and certificates need a trust root. */
function checkSigners(context: RuleContext, path: Path, verify: Parsed<GateVerifyConfig> | undefined): void {
  if (verify === undefined || !context.isComplete(path)) return;
  const { keys = [], identities = [], trustedRoot } = verify;
  if (keys.length === 0 && identities.length === 0) {
    context.error(path, 'names no signer', 'expected keys or identities');
  }
  if (identities.length > 0 && trustedRoot === undefined) {
    context.missing([...path, 'trustedRoot'], [...path, 'identities'], 'required with identities', 'expected a path');
  }
  if (identities.length === 0 && trustedRoot !== undefined) {
    context.warn([...path, 'trustedRoot'], 'has no effect without identities');
  }
  identities.forEach((identity, index) => {
    const has = (key: 'subject' | 'subjectPattern') => identity?.[key] !== undefined;
    if (has('subject') !== has('subjectPattern')) return;
    const message = has('subject') ? 'has both subject and subjectPattern' : 'names no subject: everybody could sign';
    context.error([...path, 'identities', index], message, 'expected subject or subjectPattern');
  });
}
