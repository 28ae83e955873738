import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { podsInFile } from '../../../extension-service/src/cli/explain-file.js';
import { explainInputOf } from '../../../extension-service/src/server/explain.js';

const spec = { containers: [{ name: 'a', image: 'nginx' }] };
const template = { metadata: { labels: { app: 'web' } }, spec };
const metadata = { name: 'web', namespace: 'team-a' };
const pod = { kind: 'Pod', metadata, spec };

/** Title, namespace and labels of each Pod that is found in the file. */
function found(...documents: readonly object[]): readonly unknown[] {
  const text = documents.map((document) => stringify(document)).join('---\n');
  return podsInFile(text, 'all.yaml').pods.map(({ title, pod: one }) => {
    const { namespace, pod: asked } = explainInputOf(one);
    expect(asked['spec']).toEqual(spec);
    return [title, namespace, (one['metadata'] as { labels?: unknown } | undefined)?.labels];
  });
}

describe('a manifest for explain', () => {
  it.each([
    ['Deployment', { spec: { template } }],
    ['StatefulSet', { spec: { template } }],
    ['Job', { spec: { template } }],
    ['Rollout', { spec: { template } }],
    ['CronJob', { spec: { jobTemplate: { spec: { template } } } }],
    ['PodTemplate', { template }],
  ])('has the Pods of a %s in its namespace', (kind, body) => {
    expect(found({ kind, metadata, ...body })).toEqual([[`${kind} team-a/web`, 'team-a', { app: 'web' }]]);
  });

  it('has the Pods of several documents and of lists', () => {
    const list = { kind: 'List', items: [pod, { kind: 'Deployment', metadata, spec: { template } }] };
    expect(found(pod, list).map((one) => (one as unknown[])[0])).toEqual([
      'Pod team-a/web',
      'Pod team-a/web',
      'Deployment team-a/web',
    ]);
  });

  it('has the Pod of an AdmissionReview or AdmissionRequest, in the namespace of the request', () => {
    const object = { kind: 'Pod', metadata: { generateName: 'web-' }, spec };
    const request = { uid: 'u', operation: 'CREATE', namespace: 'team-b', object };
    const expected = ['Pod web-', 'team-b', undefined];
    expect(found({ kind: 'AdmissionReview', request }, request)).toEqual([expected, expected]);
  });

  it('names the objects that create no Pods', () => {
    const text = [pod, { kind: 'Service', metadata }].map((one) => stringify(one)).join('---\n');
    expect(podsInFile(text, 'all.yaml').others).toEqual(['Service team-a/web']);
  });

  it.each([
    ['', 'all.yaml: no Pod to explain (it is empty): expected a Pod, a workload'],
    ['kind: Service\n', 'all.yaml: no Pod to explain (found Service): expected a Pod'],
    ['a: [\n', 'all.yaml:2:1: Flow sequence'],
    ['- 1\n', 'found a document that is not an object'],
  ])('is refused when it contains no Pod: %j', (text, message) => {
    expect(() => podsInFile(text, 'all.yaml')).toThrow(message);
  });
});
