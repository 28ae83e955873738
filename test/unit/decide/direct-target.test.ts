import { describe, expect, it } from 'vitest';
import type { Config } from '../../../extension-service/src/core/config/model.js';
import { directTargets } from '../../../extension-service/src/core/decide/direct-target.js';
import type { JsonObject } from '../../../extension-service/src/core/decide/pod.js';
import { ociTarget, rulesOf } from './rules-of.js';

const PREFIXED: Partial<Config> = { target: ociTarget('mirror.test', { prefix: 'm' }) };
const ECR: Partial<Config> = {
  target: {
    name: 'default',
    type: 'aws',
    aws: { accountId: '123456789012', region: 'eu-central-1', prefix: 'mirror' },
  },
};
const ecr = '123456789012.dkr.ecr.eu-central-1.amazonaws.com';
const long = `${'a'.repeat(120)}/${'b'.repeat(120)}`;

const podOf = (image: string, more: JsonObject = {}): JsonObject => ({
  spec: { containers: [{ name: 'c', image }], ...more },
});
const named = (
  config: Partial<Config>,
  pod: JsonObject,
  more: { readonly operation?: string; readonly oldPod?: JsonObject } = {},
) =>
  directTargets(rulesOf(config), { pod, namespace: 'team-a', operation: 'CREATE', ...more }).map(({ name, source }) => [
    name,
    source === undefined ? undefined : `${source.registry}/${source.repository}`,
  ]);

describe('an image that a Pod names by its place in a target', () => {
  it.each<readonly [string, Partial<Config>, string, readonly unknown[]]>([
    [
      'is found below the path',
      PREFIXED,
      'mirror.test/m/docker.io/library/nginx:1',
      [['c', 'docker.io/library/nginx']],
    ],
    ['is found by its digest', PREFIXED, `mirror.test/m/quay.io/a/b@sha256:${'0'.repeat(64)}`, [['c', 'quay.io/a/b']]],
    ['is found on the default port', PREFIXED, 'mirror.test:443/m/quay.io/a/b:1', [['c', 'quay.io/a/b']]],
    ['is found although its name does not say the source', PREFIXED, 'mirror.test/m/whatever:1', [['c', undefined]]],
    ['is not found beside the path', PREFIXED, 'mirror.test/m2/docker.io/library/nginx:1', []],
    ['is not found in another registry', PREFIXED, 'other.test/m/docker.io/library/nginx:1', []],
    [
      'is found without a path by a name that reads as a mirror',
      {},
      'mirror.test/quay.io/a/b:1',
      [['c', 'quay.io/a/b']],
    ],
    [
      'is found without a path by a shortened name',
      {},
      `mirror.test/quay.io_short/${long.slice(0, 20)}/${'f'.repeat(64)}:1`,
      [['c', undefined]],
    ],
    ['is not found without a path by any other name', {}, 'mirror.test/team/app:1', []],
    ['is found below the prefix in ECR', ECR, `${ecr}/mirror/quay.io/a/b:1`, [['c', 'quay.io/a/b']]],
    ['is not found elsewhere in the account', ECR, `${ecr}/team/app:1`, []],
    ['is not found in an invalid reference', PREFIXED, 'mirror.test/m/UPPER:1', []],
  ])('%s', (_, config, image, expected) => {
    expect(named(config, podOf(image))).toEqual(expected);
  });

  const image = 'mirror.test/m/quay.io/a/b:1';
  const found = ['c', 'quay.io/a/b'];
  it.each<readonly [string, JsonObject, readonly unknown[]]>([
    ['init containers', { spec: { initContainers: [{ name: 'c', image }] } }, [found]],
    ['ephemeral containers', { spec: { ephemeralContainers: [{ name: 'c', image }] } }, [found]],
    [
      'image volumes',
      { spec: { volumes: [{ name: 'c', image: { reference: image } }, { name: 'd' }, null] } },
      [found],
    ],
    ['Pods that opt out', { ...podOf(image), metadata: { labels: { 'image-swapper.io/skip': 'true' } } }, [found]],
    [
      'containers that opt out',
      { ...podOf(image), metadata: { annotations: { 'image-swapper.io/skip-containers': 'c' } } },
      [found],
    ],
    [
      'not the mirrors of static Pods',
      { ...podOf(image), metadata: { annotations: { 'kubernetes.io/config.mirror': 'x' } } },
      [],
    ],
    [
      'more containers than a decision takes',
      { spec: { containers: Array.from({ length: 501 }, () => ({ name: 'c', image })) } },
      Array.from({ length: 501 }, () => found),
    ],
  ])('is found in %s', (_, pod, expected) => {
    expect(named(PREFIXED, pod)).toEqual(expected);
  });

  it('counts in updates only for new ephemeral containers', () => {
    const oldPod = podOf(image, { ephemeralContainers: [{ name: 'old', image }] });
    const pod = podOf(image, {
      ephemeralContainers: [
        { name: 'old', image },
        { name: 'new', image },
      ],
    });
    expect(named(PREFIXED, pod, { operation: 'UPDATE', oldPod })).toEqual([['new', 'quay.io/a/b']]);
  });
});
