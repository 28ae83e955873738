import { createMetrics } from '../../extension-service/src/telemetry/metrics.js';

interface Described {
  readonly name: string;
  readonly type: string;
  readonly help: string;
}

/** The service's own metrics, without those of the Node.js process. */
export async function ownMetrics(): Promise<readonly (Described & { readonly labels: readonly string[] })[]> {
  const { registry } = createMetrics();
  const described = (await registry.getMetricsAsJSON()) as unknown as readonly Described[];
  return described
    .filter(({ name }) => name.startsWith('image_swapper_'))
    .map(({ name, type, help }) => {
      const { labelNames } = registry.getSingleMetric(name) as unknown as { labelNames: readonly string[] };
      return { name, type, help, labels: labelNames };
    });
}

/** The metric table of docs/operations.md. */
export async function metricTable(): Promise<string> {
  const rows = (await ownMetrics()).map(({ name, type, help, labels }) =>
    ['', `\`${name}\``, type, labels.map((label) => `\`${label}\``).join(', '), help, ''].join(' | ').trim(),
  );
  return ['| metric | type | labels | meaning |', '|---|---|---|---|', ...rows].join('\n');
}
