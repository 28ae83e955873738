import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const MODULE = fileURLToPath(new URL('../../../extension-service/terraform/aws', import.meta.url));

/**
 * A cluster whose provider and name are known only after apply, as in a configuration that also creates the cluster.
 */
const SAME_APPLY = `
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

resource "terraform_data" "cluster" {}

module "swapper" {
  source = "./module"

  IDENTITY
  registry_account_id = "012345678901"
  registry_region     = "eu-central-1"
  prefix              = "mirror"
  assume_role_arns    = ["arn:aws:iam::012345678901:role/mirror", terraform_data.cluster.id]
}

output "has_role" {
  value = module.swapper.role_arn != null
}
`;

const IDENTITIES = {
  IRSA: ['irsa = true', 'oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/${terraform_data.cluster.id}"'],
  'EKS Pod Identity': ['pod_identity = true', 'pod_identity_cluster = terraform_data.cluster.id'],
} as const;

const TEST = `
mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws-us-gov" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

run "plan" {
  command = plan
}
`;

/** Folders with provider plugins on machines that cannot reach the provider registry. */
const PLUGIN_FOLDERS = [
  process.env['TERRAFORM_PLUGINS'] ?? '',
  join(homedir(), '.terraform.d/plugins'),
  '/usr/local/share/terraform/plugins',
  '/opt/tf-plugins',
];

/**
 * Returns Terraform with its AWS provider installed in `folder`. Logs the reason and returns undefined if one of them
 * is not available.
 */
async function initialize(folder: string): Promise<string | undefined> {
  const plugins = PLUGIN_FOLDERS.find(
    (path) => existsSync(path) && readdirSync(path).some((host) => existsSync(join(path, host, 'hashicorp/aws'))),
  );
  const from = plugins === undefined ? [] : [`-plugin-dir=${plugins}`];
  try {
    await run('terraform', ['init', ...from, '-backend=false', '-input=false', '-no-color'], { cwd: folder });
    return undefined;
  } catch (error) {
    const { code, stderr } = error as { readonly code?: unknown; readonly stderr?: string };
    return code === 'ENOENT' ? 'there is no `terraform` on the PATH' : `terraform init failed: ${stderr ?? ''}`;
  }
}

describe('the Terraform module for AWS, with Terraform and its provider', () => {
  let folder: string;
  let missing: string | undefined;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'swapper-terraform-'));
    await cp(MODULE, join(folder, 'module'), { recursive: true });
    await writeConfiguration('IRSA');
    missing = await initialize(folder);
    if (missing !== undefined) process.stderr.write(`NOT VALIDATED AND PLANNED: the Terraform module: ${missing}\n`);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function writeConfiguration(identity: keyof typeof IDENTITIES): Promise<void> {
    await writeFile(join(folder, 'main.tf'), SAME_APPLY.replace('IDENTITY', IDENTITIES[identity].join('\n  ')));
    await writeFile(join(folder, 'plan.tftest.hcl'), TEST);
  }

  it('is valid, formatted and uses nothing deprecated', async ({ skip }) => {
    skip(missing !== undefined, missing);
    const { stdout } = await run('terraform', ['validate', '-json'], { cwd: folder });
    expect(JSON.parse(stdout)).toMatchObject({ valid: true, diagnostics: [] });
    await run('terraform', ['fmt', '-check', '-recursive', MODULE]);
  });

  it.for(['IRSA', 'EKS Pod Identity'] as const)(
    'is planned together with the new cluster, with %s',
    async (identity, { skip }) => {
      skip(missing !== undefined, missing);
      await writeConfiguration(identity);
      const { stdout } = await run('terraform', ['test', '-no-color', '-verbose'], { cwd: folder });
      expect(stdout).toContain('1 passed, 0 failed');
      expect(stdout).toContain('module.swapper.aws_iam_role.mirror[0]');
      expect(stdout).toContain('sts:AssumeRole');
    },
  );
});
