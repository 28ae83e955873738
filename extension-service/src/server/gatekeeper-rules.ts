import type { Config } from '../core/config/model.js';
import type { Rules } from '../core/decide/rules.js';
import { gatekeeperProfile } from '../core/policies/config-hash.js';
import { InvalidPolicyOptionError } from '../core/policies/problem.js';
import { gatekeeperFilters } from '../core/policies/pushdown/gatekeeper-match.js';
import { decidesFromImage } from './image-only.js';

/** The rules by which bare images are decided; undefined where nothing can be: every image is then left as it is. */
export type GatekeeperRules = (profile: string | undefined) => Rules | undefined;

/**
 * Gatekeeper's policies decide filters about namespaces and labels themselves and say so in their profile. Only while
 * that is the profile of the filters in force are those filters left to them; any other profile counts as none.
 */
export function gatekeeperRules(config: Config, rules: Rules): GatekeeperRules {
  const filters = config.source.filters.map(({ jmespath }) => jmespath);
  const own = gatekeeperProfile(filters);
  const whole = imageRules(rules);
  // Not before Gatekeeper asks: under the other engines it never does.
  let rest: { readonly rules: Rules | undefined } | undefined;
  return (profile) => {
    if (profile !== own) return whole;
    rest ??= { rules: imageRules(withoutMatched(rules, filters)) };
    return rest.rules;
  };
}

function withoutMatched(rules: Rules, filters: readonly string[]): Rules {
  const matched = new Set(matchedBy(filters));
  return { ...rules, filters: rules.filters.filter((_, index) => !matched.has(index)) };
}

function imageRules(rules: Rules): Rules | undefined {
  return decidesFromImage(rules) ? rules : undefined;
}

function matchedBy(filters: readonly string[]): readonly number[] {
  try {
    return gatekeeperFilters(filters).matched;
  } catch (error) {
    // No policies can be rendered for these filters, so none decide any of them.
    if (error instanceof InvalidPolicyOptionError) return [];
    throw error;
  }
}
