import { expect } from 'vitest';
import type { TerraformFiles } from '../../tools/terraform.js';

type Releases = Readonly<Record<string, readonly Readonly<Record<string, unknown>>[] | undefined>>;

/** Returns the Helm releases of an example by their names in Terraform. */
export function releases(example: TerraformFiles): Releases {
  return (example['resource']?.['helm_release'] ?? {}) as Releases;
}

/** Checks that the engine is installed first. The chart refuses to install without the engine in its values. */
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
