import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { Helm } from '../../../tools/helm.js';
import type { KubernetesObject } from '../../../tools/helm.js';
import { goModule, goToolsAvailable } from '../../../tools/tool.js';

const available = await goToolsAvailable("what Gatekeeper's chart and manifest send it");

/** docs/gatekeeper.md explains which of the chart and the manifest sends ephemeral containers. */
describe.skipIf(!available)('of the ephemeral containers of Pods', () => {
  let module: string;
  beforeAll(async () => {
    module = await goModule('gatekeeper', 'github.com/open-policy-agent/gatekeeper/v3');
  });

  it("Gatekeeper's chart sends them to its mutating webhook", async () => {
    const helm = await Helm.create();
    const objects = await helm.objects({ chart: join(module, 'charts', 'gatekeeper') });
    expect(mutatedResources(objects)).toContain('pods/ephemeralcontainers');
  });

  it("Gatekeeper's plain manifest does not send them", async () => {
    const text = await readFile(join(module, 'deploy', 'gatekeeper.yaml'), 'utf8');
    const objects = parseAllDocuments(text).map((document) => document.toJS() as KubernetesObject);
    expect(mutatedResources(objects)).toEqual(['*']);
  });
});

function mutatedResources(objects: readonly (KubernetesObject | null)[]): string[] {
  const found = objects.filter((object) => object?.kind === 'MutatingWebhookConfiguration') as unknown as {
    readonly webhooks: readonly { readonly rules: readonly { readonly resources: readonly string[] }[] }[];
  }[];
  expect(found).toHaveLength(1);
  return found.flatMap(({ webhooks }) => webhooks.flatMap(({ rules }) => rules.flatMap(({ resources }) => resources)));
}
