import { describe, expect, it } from 'vitest';
import { renderKyvernoClusterPolicy } from '../../../../extension-service/src/core/engines/kyverno-clusterpolicy/cluster-policy.js';
import { renderKyvernoMutatingPolicy } from '../../../../extension-service/src/core/engines/kyverno/mutating-policy.js';
import { renderMutatingWebhook } from '../../../../extension-service/src/core/engines/webhook/mutating-webhook.js';
import { HTTPS, TARGETS } from '../example-options.js';

/** A filter with about `size` characters in CEL, 69 of which are not part of names. */
function long(field: string, size: number): string {
  const names = Array.from({ length: Math.ceil(size / 52) }, (_, i) => `n${i}`.padEnd(48, 'x'));
  return `contains(\`${JSON.stringify(names)}\`, ${field})`;
}

function conditionsFor(filters: readonly string[]) {
  const [webhook] = renderMutatingWebhook({ url: HTTPS, targets: TARGETS, filters }).webhooks;
  return webhook?.matchConditions ?? [];
}
const namesFor = (filters: readonly string[]): readonly string[] =>
  conditionsFor(filters)
    .map(({ name }) => name)
    .filter((name) => name.startsWith('filter-'));
const SHORT = "obj.metadata.namespace == 'a'";

describe('filters that exceed the limit of the API server', () => {
  it('are left to the service, but later ones are not', () => {
    expect(namesFor([long('obj.metadata.namespace', 60_000), SHORT])).toEqual(['filter-2']);
    expect(namesFor([long('obj.metadata.namespace', 45_000), SHORT])).toEqual(['filter-1', 'filter-2']);
  });

  it('are left to the service when they are too long together', () => {
    const filters = Array.from({ length: 6 }, () => long('obj.metadata.namespace', 30_000));
    expect(namesFor([...filters, SHORT])).toEqual(['filter-1', 'filter-2', 'filter-3', 'filter-7']);
    const besides = [long('container.name', 45_000), ...filters];
    expect(namesFor(besides)).toEqual(['filter-2']);
  });

  it('share one condition when they concern containers', () => {
    const filters = [...Array.from({ length: 6 }, () => long('container.name', 15_000)), "container.name == 'last'"];
    const { spec } = renderKyvernoMutatingPolicy({ url: HTTPS, targets: TARGETS, filters });
    const condition = spec.matchConditions.find(({ name }) => name === 'has-image-outside-targets');
    expect(condition?.expression.length).toBeLessThan(60_000);
    expect(condition?.expression.match(/"n0x+"/g)).toHaveLength(3);
    expect(condition?.expression).toContain('"last"');
  });

  it('are counted as ClusterPolicy writes them', () => {
    const filters = Array.from({ length: 12 }, () => long('obj.metadata.namespace', 10_000));
    const { spec } = renderKyvernoClusterPolicy({ url: HTTPS, targets: TARGETS, filters });
    const size = JSON.stringify(spec).length;
    expect(size).toBeGreaterThan(100_000);
    // The policy must fit into the annotation that `kubectl apply` writes.
    expect(size).toBeLessThan(240_000);
  });

  it('never prevent the evaluation of a filter with 400 terms', () => {
    const filter = Array.from({ length: 400 }, (_, i) => `obj.metadata.namespace != 'n${i}'`).join(' || ');
    expect(namesFor([filter])).toEqual(['filter-1']);
  });
});
