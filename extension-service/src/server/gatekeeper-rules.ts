import type { Config } from '../core/config/model.js';
import type { Rules } from '../core/decide/rules.js';
import { gatekeeperProfile } from '../core/policies/config-hash.js';
import { InvalidPolicyOptionError } from '../core/policies/problem.js';
import { gatekeeperFilters } from '../core/policies/pushdown/gatekeeper-match.js';
import { decidesFromImage } from './image-only.js';

/** The rules for deciding bare images; undefined if nothing can be decided: every image is then kept. */
export type GatekeeperRules = (profile: string | undefined) => Rules | undefined;

/**
 * Gatekeeper's policies decide filters on namespaces and labels themselves, and send this in their profile. The service
 * relies on that only while the profile matches the current filters; any other profile is ignored.
 */
export function gatekeeperRules(config: Config, rules: Rules): GatekeeperRules {
  const filters = config.source.filters.map(({ jmespath }) => jmespath);
  const own = gatekeeperProfile(filters);
  const whole = imageRules(rules);
  // Computed on Gatekeeper's first request, since other engines never need it.
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
    // No policies can be rendered for these filters, so policies decide none of them.
    if (error instanceof InvalidPolicyOptionError) return [];
    throw error;
  }
}
