import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { desiredPolicies } from '../../extension-service/src/kinds/aws/policies.js';
import { awsConfig } from './targets/aws/config.js';

/** Three places list the permissions: the docs, Terraform, and the calls in the code. */

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const page = read('docs/aws.md');
const terraform = read('extension-service/terraform/aws/main.tf');
const sdk = read('extension-service/src/kinds/aws/sdk.ts');

interface Statement {
  readonly Sid?: string;
  readonly Action: string | readonly string[];
}
const policies = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map(
  ([, text = '']) => JSON.parse(text) as { Statement: readonly Statement[] },
);
const documented = policies[0]?.Statement.flatMap(({ Action }) => Action) ?? [];
const section = (sid: string): string[] => {
  const start = terraform.indexOf(`"${sid}"`);
  return [...terraform.slice(start, terraform.indexOf(']', start)).matchAll(/"([a-z-]+:\w+)"/g)].map(
    ([, name = '']) => name,
  );
};

describe('the permissions at ECR', () => {
  it('are the same in the docs as in Terraform', () => {
    for (const { Sid = '', Action } of policies[0]?.Statement ?? []) {
      expect(section(Sid).sort()).toEqual([Action].flat().sort());
    }
  });

  it('cover every call of the code', () => {
    const called = [...sdk.matchAll(/^ {2}(?:\w+ as )?(\w+)Command\b/gm)].map(([, name = '']) => name);
    expect(called).toContain('CreateRepository');
    // The pages list these elsewhere: calls to ECR Public and STS, an optional call, and a call of gc (see below).
    const apart = [
      ...['AssumeRole', 'GetCallerIdentity', 'GetAccountSetting', 'GetPublicAuthorizationToken'],
      'BatchDeleteImage',
    ];
    for (const name of called.filter((call) => !apart.includes(call) && call !== 'GetAuthorizationToken')) {
      expect(documented).toContain(`ecr:${name}`);
    }
    expect(documented).toContain('ecr:GetAuthorizationToken');
    expect(documented).toContain('ecr:SetRepositoryPolicy');
  });

  it('delete nothing without gc', () => {
    expect(documented.filter((action) => /Delete/.test(action))).toEqual([]);
    const garbage = /dynamic "statement" \{\n {4}for_each = var\.gc \? \[1\] : \[\]\n.*?\n {2}\}\n/s;
    expect(garbage.exec(terraform)?.[0]).toContain('"ecr:BatchDeleteImage"');
    expect(terraform.replace(garbage, '')).not.toMatch(/ecr:\w*Delete/);
  });

  it('the sample configuration has policies that the code reads', () => {
    const yaml = /lifecyclePolicy: '([^']+)'/.exec(page)?.[1] ?? '';
    const { ecrOptions } = awsConfig();
    expect(desiredPolicies(awsConfig({ ecrOptions: { ...ecrOptions, lifecyclePolicy: yaml } }))?.hash).toMatch(
      /^[0-9a-f]{32}$/,
    );
  });
});
