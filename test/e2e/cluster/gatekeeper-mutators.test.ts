import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { gatekeeperChartValues } from '../../../extension-service/src/core/engines/gatekeeper/chart-values.js';
import { DEFAULT_OPERATORS } from '../../../extension-service/src/core/decide/operators.js';
import { renderGatekeeper } from '../../../extension-service/src/core/engines/gatekeeper/mutation.js';
import { get } from '../../fakes/https-client.js';
import { RunningService } from '../../fakes/service.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { ControlPlane } from './control-plane.js';
import { startGatekeeper } from './gatekeeper-manager.js';
import type { GatekeeperProcess } from './gatekeeper-manager.js';
import type { ApiObject } from './kube-api.js';
import { create, NAMESPACE, pod, tryOut } from './pods.js';
import type { PodObject } from './pods.js';
import { until } from '../../fakes/until.js';

const available = await goToolsAvailable('our mutators among others in Gatekeeper');
const FILTERS = ["obj.metadata.labels.team == 'platform' && obj.metadata.labels.stage != 'production'"];
const swapped = (image: string): string => `registry.example.com/mirror/docker.io/library/${image}`;

describe.skipIf(!available)('our mutators among others in Gatekeeper', () => {
  let plane: ControlPlane;
  let gatekeeper: GatekeeperProcess;
  let service: RunningService;

  beforeAll(async () => {
    service = await RunningService.start({
      config: stringify({
        imageSwapPolicy: 'always',
        imageCopyPolicy: 'none',
        source: { filters: FILTERS.map((jmespath) => ({ jmespath })) },
        target: { type: 'oci', oci: { registry: 'registry.example.com', prefix: 'mirror' } },
      }),
    });
    plane = await ControlPlane.start();
    await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
    gatekeeper = await startGatekeeper(plane, gatekeeperChartValues());
    await apply(FILTERS);
    await plane.api.apply(injector('mesh'));
    await until('both act', async () => {
      const admission = await tryOut(plane.api, labeledPod({ sidecar: 'wanted' }));
      return admission.admitted && Object.keys(admission.images).length === 2 && admission.images['app'] !== 'nginx:1';
    });
  });
  afterAll(async () => {
    await gatekeeper?.program.stop();
    await plane?.stop();
    await service?.stop();
  });

  it('swap images that another mutator adds, because other mutators run first', async () => {
    expect(await create(plane.api, labeledPod({ sidecar: 'wanted' }))).toMatchObject({
      images: { app: swapped('nginx:1'), sidecar: swapped('proxy:1') },
    });
  });

  // Each list has two mutators. Both match the first Pod, and one of them matches each of the next two.
  const cases: readonly (readonly [Readonly<Record<string, string>>, number])[] = [
    [{}, 1],
    [{ team: 'platform', stage: 'production' }, 1],
    [{ team: 'shop', stage: 'test' }, 1],
    [{ team: 'platform' }, 0],
    [{ team: 'platform', stage: 'test' }, 0],
    // Labels of operators that compare images.
    [{ 'aerospike.com/cr': 'a' }, 0],
    [{ app: 'longhorn-manager' }, 0],
    [{ app: 'longhorn-ui' }, 1],
  ];
  it.each(cases)('a filter of two conditions, and operators: a Pod with %j costs %i calls', async (labels, calls) => {
    const before = await requests();
    const image = calls === 1 ? swapped('nginx:1') : 'nginx:1';
    expect(await create(plane.api, labeledPod(labels))).toMatchObject({ images: { app: image } });
    expect((await requests()) - before).toBe(calls);
  });

  it('leftover mutators of a longer list do nothing, because the service recognizes their configuration', async () => {
    // The active configuration keeps its filter. Policies of another configuration, first with more and then with fewer
    // mutators, replace ours.
    const other = ["obj.metadata.labels.a == '1' && obj.metadata.labels.b == '2' && obj.metadata.labels.c == '3'"];
    await apply(other);
    await apply(FILTERS);
    // The third mutator of the other configuration still exists, and is the last one in order.
    const left = (await plane.api.send('GET', '/apis/mutations.gatekeeper.sh/v1/assign')).body as {
      readonly items: readonly ApiObject[];
    };
    expect(left.items.map(({ metadata }) => metadata.name)).toContain('zz-image-swapper-containers-3');
    // Gatekeeper loads changes one by one. Our mutators take effect, and the leftover mutator calls the service for
    // Pods that match its condition.
    await until('ours act again, and the one that is left over asks the service', async () => {
      await tryOut(plane.api, labeledPod({ team: 'platform' }));
      const admission = await tryOut(plane.api, labeledPod({ a: '1', b: '2', c: '3' }));
      const { text } = await get(`${service.operations}/metrics`);
      const asked = text.includes('image_swapper_policy_mismatches_total{route="gatekeeper"}');
      return asked && admission.admitted && admission.images['app'] === swapped('nginx:1');
    });
    const platform = await create(plane.api, labeledPod({ team: 'platform' }));
    expect(platform).toMatchObject({ images: { app: 'nginx:1' } });
  });

  async function apply(filters: readonly string[]): Promise<void> {
    const pods = { operators: DEFAULT_OPERATORS };
    for (const object of renderGatekeeper({ url: service.url, caBundle: service.ca, filters, pods })) {
      await plane.api.apply(object as unknown as ApiObject);
    }
  }

  async function requests(): Promise<number> {
    const { text } = await get(`${service.operations}/metrics`);
    return Number(/resolve_requests_total\{route="gatekeeper",outcome="200"\} (\d+)/.exec(text)?.[1] ?? 0);
  }
});

function labeledPod(labels: Readonly<Record<string, string>>): PodObject {
  return pod('nginx:1', {}, { labels });
}

/** A mutator of another owner that adds a container, as Gatekeeper's users write it. */
function injector(name: string): ApiObject {
  return {
    apiVersion: 'mutations.gatekeeper.sh/v1',
    kind: 'Assign',
    metadata: { name },
    spec: {
      applyTo: [{ groups: [''], versions: ['v1'], kinds: ['Pod'] }],
      match: { scope: 'Namespaced', labelSelector: { matchLabels: { sidecar: 'wanted' } } },
      location: 'spec.containers[name:sidecar]',
      parameters: { assign: { value: { name: 'sidecar', image: 'proxy:1' } } },
    },
  };
}
