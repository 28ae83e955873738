import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../../extension-service/src/core/decide/pod.js';
import { WORKLOAD_KINDS } from '../../../extension-service/src/kubernetes/workloads/kinds.js';

const template = { spec: { containers: [{ name: 'app', image: 'app:1' }] } };
const ended = (type: string, status = 'True'): JsonObject => ({
  spec: { template },
  status: {
    conditions: [
      { type: 'Suspended', status: 'True' },
      { type, status },
    ],
  },
});

describe('the Pod that an object is or makes', () => {
  it.each<readonly [string, string, JsonObject, JsonObject | undefined]>([
    ['Pod', 'that is pending', { ...template, status: {} }, { ...template, status: {} }],
    ['Pod', 'without a status', template, template],
    ['Pod', 'that has succeeded', { ...template, status: { phase: 'Succeeded' } }, undefined],
    ['Pod', 'that has failed', { ...template, status: { phase: 'Failed' } }, undefined],
    [
      'Pod',
      'of an unknown kind',
      { ...template, status: { phase: 'Unknown' } },
      { ...template, status: { phase: 'Unknown' } },
    ],
    ['Deployment', 'scaled to none', { spec: { replicas: 0, template } }, template],
    ['StatefulSet', '', { spec: { template } }, template],
    ['DaemonSet', '', { spec: { template } }, template],
    ['ReplicaSet', 'kept for a rollback', { spec: { replicas: 0, template } }, template],
    ['Job', 'that runs', { spec: { template }, status: {} }, template],
    ['Job', 'that is suspended', { spec: { suspend: true, template }, status: {} }, template],
    ['Job', 'that is complete', ended('Complete'), undefined],
    ['Job', 'that has failed', ended('Failed'), undefined],
    ['Job', 'that is not complete yet', ended('Complete', 'False'), template],
    ['CronJob', '', { spec: { jobTemplate: { spec: { template } } } }, template],
    ['CronJob', 'that is suspended', { spec: { suspend: true, jobTemplate: { spec: { template } } } }, template],
    ...['Deployment', 'Job', 'CronJob'].flatMap((kind): [string, string, JsonObject, undefined][] => [
      [kind, 'without a spec', {}, undefined],
      [kind, 'whose spec is a text', { spec: 'x' }, undefined],
      [kind, 'whose template is a list', { spec: { template: [], jobTemplate: [] } }, undefined],
      [kind, 'whose conditions are none', { spec: null, status: { conditions: 'x' } }, undefined],
    ]),
  ])('%s %s', (name, _, object, expected) => {
    const kind = WORKLOAD_KINDS.find(({ kind }) => kind === name);
    expect(kind?.pod(object)).toEqual(expected);
  });

  it('is requested from the lists over all namespaces', () => {
    expect(WORKLOAD_KINDS.map(({ path }) => path)).toEqual([
      '/api/v1/pods',
      '/apis/apps/v1/deployments',
      '/apis/apps/v1/statefulsets',
      '/apis/apps/v1/daemonsets',
      '/apis/apps/v1/replicasets',
      '/apis/batch/v1/jobs',
      '/apis/batch/v1/cronjobs',
    ]);
  });
});
