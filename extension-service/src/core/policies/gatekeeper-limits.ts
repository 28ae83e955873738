import { readsOnlyImage } from '../filters/needs.js';
import { parseExpression } from '../filters/parse.js';
import { InvalidPolicyOptionError } from './problem.js';

/** What Gatekeeper cannot do because it sends image names alone and does not wait. */

/** An expression with the name under which people wrote it, such as `targets[1].match`. */
export interface NamedMatch {
  readonly option: string;
  /** Absent: selects everything. What is no expression is told elsewhere. */
  readonly match?: string | undefined;
}

/**
 * Unsaid, no Pod would be swapped, and nothing would say why.
 *
 * @throws InvalidPolicyOptionError for the first `match` that reads more than the image
 */
export function checkGatekeeperMatches(matches: readonly NamedMatch[]): void {
  for (const { option, match } of matches) {
    if (match === undefined || match.trim() === '' || readsOnlyImage(parseExpression(match))) continue;
    throw new InvalidPolicyOptionError(
      option,
      'reads more than container.image, which is all that Gatekeeper sends: no Pod would be swapped: ' +
        'write it about container.image, or use another engine (kyverno, webhook)',
    );
  }
}

interface CopyPolicies {
  readonly imageCopyPolicy?: string | undefined;
  readonly targets?: readonly { readonly imageCopyPolicy?: string | undefined }[] | undefined;
  readonly target?: { readonly imageCopyPolicy?: string | undefined } | null | undefined;
}

/** For each copy that a request of another engine would wait for, where it is written and what Gatekeeper makes of it. */
export function gatekeeperCopyWarnings({ imageCopyPolicy, targets = [], target }: CopyPolicies): readonly string[] {
  const written: readonly (readonly [string, string | undefined])[] = [
    ['imageCopyPolicy', imageCopyPolicy],
    ...targets.map((one, index) => [`targets[${index}].imageCopyPolicy`, one.imageCopyPolicy] as const),
    ['target.imageCopyPolicy', target?.imageCopyPolicy],
  ];
  return written
    .filter(([, policy]) => policy !== undefined && waitsForCopy(policy))
    .map(
      ([option, policy]) =>
        `${option}: ${policy} waits for no copy with gatekeeper, whose requests start none; it works like delayed. Set ` +
        'delayed, or use another engine (kyverno, webhook).',
    );
}

/** Whether requests wait for copies. */
export function waitsForCopy(policy: string | undefined): boolean {
  return policy === 'immediate' || policy === 'force';
}
