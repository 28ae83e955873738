import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { expectEngineFirst, releases } from './terraform-releases.js';
import { blocks } from '../../tools/docs.js';
import { checkTerraform } from '../../tools/terraform-check.js';
import { terraformTools } from '../../tools/terraform.js';

const folder = fileURLToPath(new URL('../../../extension-service/terraform/aws', import.meta.url));

it('extension-service/terraform/aws uses only types, arguments, blocks and references of hashicorp/aws', async () => {
  const tools = await terraformTools('aws', 'helm');

  expect(await checkTerraform(tools, await tools.parse(folder))).toEqual([]);
});

it('the example of an EKS cluster does the same and sets only variables of the module', async () => {
  const tools = await terraformTools('aws', 'helm');
  const example = await tools.parse(`${folder}/examples/eks`);
  expect(await checkTerraform(tools, example)).toEqual([]);
  const module = await tools.parse(folder);
  const call = (example['module']!['image_swapper'] as readonly Record<string, unknown>[])[0] ?? {};
  const known = Object.keys(module['variable'] ?? {});
  expect(Object.keys(call).filter((key) => key !== 'source' && !known.includes(key))).toEqual([]);
  expectEngineFirst(example);
  expect(releases(example)['kyverno']?.[0]?.['count']).toBe('${var.install_kyverno ? 1 : 0}');
});

interface Statement {
  readonly sid: string;
  readonly actions: readonly string[];
  readonly resources: readonly string[] | string;
}

it('grants the rights of docs/aws.md, and those of a signer only on the named profiles', async () => {
  const module = await (await terraformTools('aws', 'helm')).parse(folder);
  const document = module['data']?.['aws_iam_policy_document'] as {
    readonly mirror: readonly Record<string, unknown>[];
  };
  const { statement = [], dynamic } = document.mirror[0] as {
    readonly statement: readonly Statement[];
    readonly dynamic: {
      readonly statement: readonly { readonly for_each: string; readonly content: readonly [Statement] }[];
    };
  };
  const optional = dynamic.statement.map(({ for_each, content: [content] }) => ({ ...content, when: for_each }));
  const granted = new Map([...statement, ...optional].map(({ sid, actions }) => [sid, [...actions].sort()]));
  const [policy] = blocks('docs/aws.md', 'json').filter((text) => text.includes('"Sid": "Mirror"'));
  const documented = JSON.parse(policy ?? '') as { Statement: readonly { Sid: string; Action: string | string[] }[] };
  expect(documented.Statement.map(({ Sid }) => Sid)).toContain('Check');
  for (const { Sid, Action } of documented.Statement) expect(granted.get(Sid), Sid).toEqual([Action].flat().sort());
  expect(optional.find(({ sid }) => sid === 'Signer')).toEqual({
    sid: 'Signer',
    actions: ['signer:GetSigningProfile', 'signer:SignPayload'],
    resources: '${var.signing_profile_arns}',
    when: '${length(var.signing_profile_arns) > 0 ? [1] : []}',
  });
});
