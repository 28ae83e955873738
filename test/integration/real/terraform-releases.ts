import { expect } from 'vitest';
import type { TerraformFiles } from '../../tools/terraform.js';

type Releases = Readonly<Record<string, readonly Readonly<Record<string, unknown>>[] | undefined>>;

/** The Helm releases of an example, by their names in Terraform. */
export function releases(example: TerraformFiles): Releases {
  return (example['resource']?.['helm_release'] ?? {}) as Releases;
}

/** The chart refuses to install without the engine that its values name. */
export function expectEngineFirst(example: TerraformFiles): void {
  const { image_swapper: [service] = [], kyverno: [engine] = [] } = releases(example);
  expect(JSON.stringify(service?.['values'])).toContain('engine = \\"kyverno\\"');
  expect(service?.['depends_on']).toEqual(['${helm_release.kyverno}']);
  expect(engine).toMatchObject({
    repository: 'https://kyverno.github.io/kyverno',
    chart: 'kyverno',
    namespace: 'kyverno',
    create_namespace: true,
  });
}
