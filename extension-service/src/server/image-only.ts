import type { Rules } from '../core/decide/rules.js';
import { readsOnlyImage } from '../core/filters/needs.js';
import { parseExpression } from '../core/filters/parse.js';

/** Whether every filter and every target can be decided from the image alone, as Gatekeeper's requests require. */
export function decidesFromImage(rules: Rules): boolean {
  const expressions = [...rules.filters, ...rules.targets.flatMap(({ match }) => (match === undefined ? [] : [match]))];
  return expressions.every(({ expression }) => readsOnlyImage(parseExpression(expression)));
}
