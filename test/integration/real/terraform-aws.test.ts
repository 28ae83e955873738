import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { expectEngineFirst, releases } from './terraform-releases.js';
import { checkTerraform } from '../../tools/terraform-check.js';
import { terraformTools } from '../../tools/terraform.js';

const folder = fileURLToPath(new URL('../../../extension-service/terraform/aws', import.meta.url));

it('extension-service/terraform/aws has types, arguments, blocks and references that hashicorp/aws has', async () => {
  const tools = await terraformTools('aws', 'helm');

  expect(await checkTerraform(tools, await tools.parse(folder))).toEqual([]);
});

it('the example of an EKS cluster does too, and gives the module variables that it has', async () => {
  const tools = await terraformTools('aws', 'helm');
  const example = await tools.parse(`${folder}/examples/eks`);
  expect(await checkTerraform(tools, example)).toEqual([]);
  const module = await tools.parse(folder);
  const call = (example['module']?.['image_swapper'] as readonly Record<string, unknown>[])[0] ?? {};
  const known = Object.keys(module['variable'] ?? {});
  expect(Object.keys(call).filter((key) => key !== 'source' && !known.includes(key))).toEqual([]);
  expectEngineFirst(example);
  expect(releases(example)['kyverno']?.[0]?.['count']).toBe('${var.install_kyverno ? 1 : 0}');
});
