import type { Rules } from '../core/decide/rules.js';
import { readsOnlyImage } from '../core/filters/needs.js';
import { parseExpression } from '../core/filters/parse.js';

/** True when every filter and every target can be decided by the image alone, as Gatekeeper's requests need it. */
export function decidesFromImage(rules: Rules): boolean {
  const expressions = [...rules.filters, ...rules.targets.flatMap(({ match }) => (match === undefined ? [] : [match]))];
  return expressions.every(({ expression }) => readsOnlyImage(parseExpression(expression)));
}
