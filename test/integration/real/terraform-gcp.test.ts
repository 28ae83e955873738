import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { expectEngineFirst, releases } from './terraform-releases.js';
import { checkTerraform } from '../../tools/terraform-check.js';
import { terraformTools } from '../../tools/terraform.js';
import type { TerraformFiles, TerraformTools } from '../../tools/terraform.js';

/** extension-service/terraform/gcp against the schema of hashicorp/google, parsed by Terraform's own parser. */

const folder = fileURLToPath(new URL('../../../extension-service/terraform/gcp', import.meta.url));
let tools: TerraformTools;
let module: TerraformFiles;
beforeAll(async () => {
  tools = await terraformTools('google', 'helm');
  module = await tools.parse(folder);
});

const resource = (type: string, name: string): Record<string, unknown> | undefined =>
  (module['resource']?.[type] as Record<string, readonly Record<string, unknown>[]> | undefined)?.[name]?.[0];

describe('the module for Google Cloud', () => {
  it('uses only types, arguments, blocks and references of the provider', async () => {
    expect(await checkTerraform(tools, module)).toEqual([]);
  });

  it('has an example of a cluster that does the same and sets only variables of the module', async () => {
    const example = await tools.parse(`${folder}/examples/gke`);
    expect(await checkTerraform(tools, example)).toEqual([]);
    const call = (example['module']!['image_swapper'] as readonly Record<string, unknown>[])[0] ?? {};
    const variables = Object.entries(module['variable'] as Record<string, readonly Record<string, unknown>[]>);
    const given = Object.keys(call).filter((key) => key !== 'source');
    const known = variables.map(([name]) => name);
    expect(given.filter((key) => !known.includes(key))).toEqual([]);
    const needed = variables.filter(([, [body]]) => body !== undefined && !('default' in body)).map(([name]) => name);
    expect(needed.filter((key) => !given.includes(key))).toEqual([]);
    const cluster = (
      example['resource']!['google_container_cluster'] as Record<string, readonly Record<string, unknown>[]>
    )['main']?.[0];
    expect(cluster?.['workload_identity_config']).toEqual([{ workload_pool: '${var.project_id}.svc.id.goog' }]);
    const pool = (
      example['resource']!['google_container_node_pool'] as Record<string, readonly Record<string, unknown>[]>
    )['main']?.[0];
    expect(pool?.['node_config']).toMatchObject([
      { oauth_scopes: expect.arrayContaining(['https://www.googleapis.com/auth/devstorage.read_only']) as unknown },
    ]);
  });

  it('has an example that installs the engine before the chart in a new cluster', async () => {
    const example = await tools.parse(`${folder}/examples/gke`);
    expectEngineFirst(example);
    const [kyverno] = releases(example)['kyverno'] ?? [];
    expect(kyverno?.['depends_on']).toEqual(['${google_container_node_pool.main}']);
    expect(JSON.stringify(example['provider']?.['helm'])).toContain('google_container_cluster.main.endpoint');
  });

  it('grants the rights of the guide: writer for the service, reader for nodes and on sources, Workload Identity', () => {
    const roles = Object.entries(
      module['resource']?.['google_artifact_registry_repository_iam_member'] as Record<
        string,
        readonly { role: string }[]
      >,
    ).map(([name, [body]]) => [name, body?.role]);
    expect(roles).toEqual(
      expect.arrayContaining([
        ['writer', '${var.gc ? "roles/artifactregistry.repoAdmin" : "roles/artifactregistry.writer"}'],
        ['nodes', 'roles/artifactregistry.reader'],
        ['sources', 'roles/artifactregistry.reader'],
      ]),
    );
    expect(resource('google_artifact_registry_repository', 'mirror')).toMatchObject({ format: 'DOCKER' });
    expect(resource('google_service_account_iam_member', 'workload_identity')).toMatchObject({
      role: 'roles/iam.workloadIdentityUser',
      member: 'serviceAccount:${local.pool_project}.svc.id.goog[${var.namespace}/${var.kubernetes_service_account}]',
    });
    expect(resource('google_compute_firewall', 'control_plane')).toMatchObject({
      allow: [{ protocol: 'tcp', ports: ['8443'] }],
      count: '${var.private_control_plane == null ? 0 : 1}',
    });
  });
});

describe('the check of Terraform', () => {
  it.each<readonly [string, string, readonly string[]]>([
    ['an unknown type', 'resource "google_nothing" "a" {}', ['resource google_nothing: the provider has no such type']],
    [
      'an unknown argument, a missing one, an unknown one in a block',
      'resource "google_artifact_registry_repository" "a" {\n  repository_id = "x"\n  formatt = "DOCKER"\n  docker_config {\n    immutable = true\n  }\n}',
      [
        'google_artifact_registry_repository.a: there is no formatt',
        'google_artifact_registry_repository.a.docker_config: there is no immutable',
        'google_artifact_registry_repository.a: format is missing',
      ],
    ],
    [
      'references to nothing',
      'resource "google_service_account" "a" {\n  account_id = "${var.none}${local.none}"\n  project = google_service_account.b.email\n  description = google_service_account.a.mail\n}',
      [
        'there is no variable none',
        'there is no local none',
        'google_service_account.b.email refers to nothing',
        'google_service_account.a.mail: the type has no attribute mail',
      ],
    ],
    [
      'a release to wait for that there is not',
      'resource "helm_release" "a" {\n  name = "a"\n  chart = "a"\n  depends_on = [helm_release.kyverno]\n}',
      ['helm_release.kyverno refers to nothing'],
    ],
  ])('finds %s', async (_, text, expected) => {
    const problems = await checkTerraform(tools, await tools.parseText(text));
    expect(problems.toSorted()).toEqual(expected.toSorted());
  });
});
