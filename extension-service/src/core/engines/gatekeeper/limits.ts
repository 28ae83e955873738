import { readsOnlyImage } from '../../filters/needs.js';
import { parseExpression } from '../../filters/parse.js';
import { InvalidPolicyOptionError } from '../../policies/problem.js';
import type { NamedMatch } from '../engine.js';

/**
 * Without this check, no Pod would be swapped for no visible reason.
 *
 * @throws InvalidPolicyOptionError for the first `match` that reads more than the image
 */
export function checkGatekeeperMatches(matches: readonly NamedMatch[]): void {
  for (const { option, match } of matches) {
    if (match === undefined || match.trim() === '' || readsOnlyImage(parseExpression(match))) continue;
    throw new InvalidPolicyOptionError(
      option,
      'reads more than container.image, but Gatekeeper sends nothing else, so no Pod would be swapped: ' +
        'use only container.image, or another engine (kyverno, webhook)',
    );
  }
}
