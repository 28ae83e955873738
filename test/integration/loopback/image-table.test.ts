import { afterEach, expect, it } from 'vitest';
import { connectCluster } from '../../../extension-service/src/kubernetes/api.js';
import { MirroredImages } from '../../../extension-service/src/kubernetes/image-table/mirrored-images.js';
import { ConfigFeed } from '../../../extension-service/src/kubernetes/live-config.js';
import { ManagedPolicies } from '../../../extension-service/src/kubernetes/managed-policies/managed-policies.js';
import { ownerOf } from '../../../extension-service/src/kubernetes/managed-policies/owner.js';
import { PolicyObjects } from '../../../extension-service/src/kubernetes/managed-policies/policy-objects.js';
import { startAnsweringApi } from '../../fakes/answering-api.js';
import type { AnsweringApi, AskedApi } from '../../fakes/answering-api.js';
import { until } from '../../fakes/until.js';
import { parse, target } from '../../unit/config/parsing.js';

const apis: AnsweringApi[] = [];
afterEach(async () => {
  await Promise.all(apis.splice(0).map((api) => api.stop()));
});

const { config } = parse(`${target}policies: {manage: true, engine: mutatingadmissionpolicy}\n`);

/** Starts a leader with an API server that gives these answers. */
async function lead(answer: (asked: AskedApi) => object | number) {
  const log: string[] = [];
  const writes: string[] = [];
  const api = await startAnsweringApi('image-swapper', (asked) => {
    if (asked.method !== 'GET') writes.push(`${asked.method} ${asked.path}`);
    return answer(asked);
  });
  apis.push(api);
  const access = await connectCluster({ KUBECONFIG: api.kubeconfig });
  if (access === undefined) throw new Error('no cluster');
  const add = (_level: string, message: string): void => {
    log.push(message);
  };
  const images = new MirroredImages({ log: add });
  const stop = new AbortController();
  const ended = new ManagedPolicies({
    objects: await PolicyObjects.connect(access),
    config: new ConfigFeed(config),
    namespace: 'image-swapper',
    caBundle: () => Promise.resolve(undefined),
    images,
    log: add,
  }).lead(stop.signal);
  return {
    log,
    writes,
    end: async () => {
      stop.abort();
      await ended;
    },
  };
}

it('reports that the cluster is too old, and names a supported engine', async () => {
  const leader = await lead(() => 404);
  await until('the log says it', () => Promise.resolve(leader.log.length > 0));
  await leader.end();
  expect(leader.log[0]).toBe(
    'MutatingAdmissionPolicy image-swapper: the cluster does not have admissionregistration.k8s.io/v1: it needs ' +
      'Kubernetes 1.36 or newer, or, with an older one, policies.engine=webhook',
  );
});

it('does not change a policy that another install manages, and names its Lease', async () => {
  const other = ownerOf({ lease: { name: 'image-swapper' } }, 'elsewhere');
  const leader = await lead(({ path }) => ({
    metadata: {
      name: path.split('/').at(-1),
      uid: '1',
      resourceVersion: '1',
      ...other,
      managedFields: [{ manager: 'image-swapper', operation: 'Apply' }],
    },
  }));
  await until('the log says it', () => Promise.resolve(leader.log.length > 3));
  await leader.end();
  expect(leader.writes).toEqual([]);
  expect(leader.log[0]).toMatch(
    /^MutatingAdmissionPolicy image-swapper: is managed by another install, with Lease elsewhere\/image-swapper/,
  );
});
