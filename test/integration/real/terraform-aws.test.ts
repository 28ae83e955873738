import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { checkTerraform } from '../../tools/terraform-check.js';
import { terraformTools } from '../../tools/terraform.js';

it('extension-service/terraform/aws has types, arguments, blocks and references that hashicorp/aws has', async () => {
  const tools = await terraformTools('aws');
  const folder = fileURLToPath(new URL('../../../extension-service/terraform/aws', import.meta.url));
  expect(await checkTerraform(tools, await tools.parse(folder))).toEqual([]);
});
