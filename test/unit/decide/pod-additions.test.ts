import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  additionPatches,
  ORIGINAL_IMAGES_KEY,
  ORIGINAL_IMAGES_PATTERN,
  podAdditions,
} from '../../../extension-service/src/core/decide/pod-additions.js';
import type { Swap } from '../../../extension-service/src/core/decide/answer.js';
import { podContainers } from '../../../extension-service/src/core/decide/pod.js';
import type { JsonObject } from '../../../extension-service/src/core/decide/pod.js';

const BOTH = { pullSecret: 'mirror-login', annotate: true };
const swapsOf = (pod: JsonObject): Swap[] =>
  podContainers(pod).map((container) => ({ container, image: `mirror.test/${container.image}` }));
const podOf = (more: JsonObject = {}, metadata: JsonObject = {}): JsonObject => ({
  metadata,
  spec: {
    containers: [{ name: 'app', image: 'nginx' }],
    volumes: [{ name: 'app', image: { reference: 'quay.io/m/l:3' } }],
    ...more,
  },
});
const additions = (pod: JsonObject, config: Parameters<typeof podAdditions>[0] = BOTH, operation = 'CREATE') =>
  podAdditions(config, { pod, operation }, swapsOf(pod));

describe('additions to a swapped Pod', () => {
  it('are a pull secret and the original images, with separate entries for a volume and a container of the same name', () => {
    expect(additions(podOf())).toEqual({
      pullSecret: 'mirror-login',
      originalImages: '{"app":"nginx","volumes/app":"quay.io/m/l:3"}',
    });
  });

  it.each<[string, ReturnType<typeof additions>, object]>([
    ['nothing is configured', additions(podOf(), { annotate: false }), {}],
    ['nothing is swapped', podAdditions(BOTH, { pod: podOf(), operation: 'CREATE' }, []), {}],
    ['the request is an update', additions(podOf(), BOTH, 'UPDATE'), {}],
    [
      'the Pod has the secret',
      additions(podOf({ imagePullSecrets: [{ name: 'a' }, { name: 'mirror-login' }] }), { ...BOTH, annotate: false }),
      {},
    ],
  ])('are none when %s', (_, result, expected) => {
    expect(result).toEqual(expected);
  });

  it.each<[string, string, string]>([
    [
      'what an earlier pass wrote',
      '{"first":"a:1","app":"b:2"}',
      '{"first":"a:1","app":"nginx","volumes/app":"quay.io/m/l:3"}',
    ],
    ['nothing of text that is not a map', '[1]', '{"app":"nginx","volumes/app":"quay.io/m/l:3"}'],
    ['nothing of text that is not JSON', '{{ request }}', '{"app":"nginx","volumes/app":"quay.io/m/l:3"}'],
    ['nothing of text with a template', '{"first":"{{ x }}"}', '{"app":"nginx","volumes/app":"quay.io/m/l:3"}'],
  ])('keep %s', (_, annotation, expected) => {
    const pod = podOf({}, { annotations: { [ORIGINAL_IMAGES_KEY]: annotation } });
    expect(additions(pod).originalImages).toBe(expected);
  });

  it('leave out a name that is empty or contains a template', () => {
    const containers = [
      { name: '{{ x }}', image: 'a' },
      { name: '', image: 'b' },
      { name: 'c', image: 'c' },
    ];
    expect(additions(podOf({ containers, volumes: [] })).originalImages).toBe('{"c":"c"}');
  });

  it('leave the annotation out when it would be too long', () => {
    const containers = Array.from({ length: 400 }, (_, n) => ({ name: `c${n}`, image: 'i'.repeat(200) }));
    expect(additions(podOf({ containers }))).toEqual({ pullSecret: 'mirror-login' });
  });

  it('fit the guard of the policies for every legal name and reference', () => {
    const pattern = new RegExp(ORIGINAL_IMAGES_PATTERN);
    const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
    const image = fc.stringMatching(/^[a-z0-9]{1,5}([.:/][a-z0-9]{1,5}){0,3}(:[A-Za-z0-9_.-]{1,5})?$/);
    fc.assert(
      fc.property(fc.array(fc.record({ name, image }), { minLength: 1, maxLength: 5 }), (containers) => {
        expect(additions(podOf({ containers })).originalImages).toMatch(pattern);
      }),
      { numRuns: 100 },
    );
    expect('{"a":"b","c":"{{ x }}"}').not.toMatch(pattern);
  });
});

describe('their patches', () => {
  const both = { pullSecret: 's', originalImages: '{"a":"b"}' };
  it.each<[string, JsonObject, readonly [string, unknown][]]>([
    [
      'make what is not there',
      { metadata: {}, spec: {} },
      [
        ['/spec/imagePullSecrets', [{ name: 's' }]],
        ['/metadata/annotations', { [ORIGINAL_IMAGES_KEY]: '{"a":"b"}' }],
      ],
    ],
    [
      'add to what is there',
      { metadata: { annotations: { x: 'y' } }, spec: { imagePullSecrets: [] } },
      [
        ['/spec/imagePullSecrets/-', { name: 's' }],
        ['/metadata/annotations/image-swapper.io~1original-images', '{"a":"b"}'],
      ],
    ],
  ])('%s', (_, pod, expected) => {
    expect(additionPatches(pod, both).map(({ op, path, value }) => [op, path, value])).toEqual(
      expected.map(([path, value]) => ['add', path, value]),
    );
    expect(additionPatches(pod, {})).toEqual([]);
  });
});
