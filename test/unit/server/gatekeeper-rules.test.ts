import { describe, expect, it } from 'vitest';
import { gatekeeperProfile } from '../../../extension-service/src/core/policies/config-hash.js';
import { gatekeeperFilters } from '../../../extension-service/src/core/policies/pushdown/gatekeeper-match.js';
import { gatekeeperRules } from '../../../extension-service/src/server/gatekeeper-rules.js';
import { compileRules } from '../../../extension-service/src/core/decide/rules.js';
import { configOf } from '../decide/rules-of.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { cpuTimeOf } from '../cpu-time.js';

const NAMESPACE = "obj.metadata.namespace == 'kube-system'";
const IMAGE = "contains(container.image, 'ecr')";
const OTHER = 'obj.spec.hostNetwork == `true`';

function rulesFor(filters: readonly string[]) {
  const config = configOf({ source: { filters: filters.map((jmespath) => ({ jmespath })) } as never });
  const rules = gatekeeperRules(config, compileRules(config, namingTarget));
  return (profile?: string) => rules(profile)?.filters.map(({ expression }) => expression);
}

describe('decisions for Gatekeeper, which only sends images', () => {
  it('cover everything when all filters concern the image', () => {
    const rules = rulesFor([IMAGE]);
    expect(rules()).toEqual([IMAGE]);
    expect(rules('eu')).toEqual([IMAGE]);
    expect(rules(gatekeeperProfile([IMAGE]))).toEqual([IMAGE]);
  });

  it('cover the remaining filters when the policies evaluate those on the Pod', () => {
    const rules = rulesFor([NAMESPACE, IMAGE]);
    expect(rules(gatekeeperProfile([NAMESPACE, IMAGE]))).toEqual([IMAGE]);
  });

  it('cover nothing when policies with other filters or none call', () => {
    const rules = rulesFor([NAMESPACE, IMAGE]);
    expect(rules()).toBeUndefined();
    expect(rules(gatekeeperProfile([IMAGE]))).toBeUndefined();
    expect(rules(gatekeeperProfile([IMAGE, NAMESPACE]))).toBeUndefined();
  });

  it('are computed once, when Gatekeeper calls', () => {
    const filters = Array.from({ length: 300 }, (_, i) => `obj.metadata.namespace == 'ns-${i}'`);
    const config = configOf({ source: { filters: filters.map((jmespath) => ({ jmespath })) } as never });
    const rules = compileRules(config, namingTarget);
    let divided = 0;
    const counted = Object.assign([...rules.filters], {
      filter: (keep: (filter: unknown, index: number) => boolean) => {
        divided += 1;
        return [...rules.filters].filter((filter, index) => keep(filter, index));
      },
    });
    const once = Math.min(...Array.from({ length: 20 }, () => cpuTimeOf(() => gatekeeperFilters(filters))));
    const rulesOf = gatekeeperRules(config, { ...rules, filters: counted });
    expect(divided).toBe(0);
    // A separate calculation for each filter would take 300 times as long.
    expect(cpuTimeOf(() => rulesOf(gatekeeperProfile(filters))) / once).toBeLessThan(50);
    expect(rulesOf(gatekeeperProfile(filters))?.filters).toEqual([]);
    expect(divided).toBe(1);
  });

  it('cover nothing when no policy can evaluate a filter', () => {
    const filters = [NAMESPACE, OTHER];
    expect(rulesFor(filters)(gatekeeperProfile(filters))).toBeUndefined();
  });
});
