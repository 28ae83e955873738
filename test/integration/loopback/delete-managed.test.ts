import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { ownerOf } from '../../../extension-service/src/kubernetes/managed-policies/owner.js';
import { startAnsweringApi } from '../../fakes/answering-api.js';
import type { AnsweringApi } from '../../fakes/answering-api.js';
import { runHere, runProgram } from '../../fakes/program.js';
import type { ProgramResult } from '../../fakes/program.js';

/** The command that deletes the managed policies of one or more instances, run from outside the cluster. */

const LIST = '/apis/policies.kyverno.io/v1/mutatingpolicies';
let api: AnsweringApi;
/** The namespaces of the instances by policy name. */
const policies = new Map<string, string>();

beforeAll(async () => {
  api = await startAnsweringApi('default', ({ method, path, query }) => {
    if (!path.startsWith(LIST)) return 404;
    const items = [...policies]
      .map(([name, namespace]) => policyOf(name, namespace))
      .filter(({ metadata }) => matches(metadata.labels, query.get('labelSelector') ?? ''));
    if (method === 'DELETE') policies.delete(path.slice(LIST.length + 1));
    return { kind: 'List', items };
  });
  await writeFile(join(api.folder, 'image-swapper.yaml'), 'target: {type: oci, oci: {registry: harbor.example.com}}\n');
});
afterAll(() => api.stop());
beforeEach(() => policies.clear());

function policyOf(name: string, namespace: string) {
  const { labels, annotations } = ownerOf({ lease: { name: 'image-swapper' } }, namespace);
  const managedFields = [{ manager: 'image-swapper', operation: 'Apply' }];
  return { metadata: { name, uid: `uid-${name}`, resourceVersion: '1', labels, annotations, managedFields } };
}

function matches(labels: Readonly<Record<string, string>>, selector: string): boolean {
  return selector.split(',').every((one) => {
    const [key = '', value] = one.split('=');
    return labels[key] === value;
  });
}

const args = ['policies', '--delete-managed'];
const env = () => ({ KUBECONFIG: api.kubeconfig, HOME: api.folder });
const run = (): Promise<ProgramResult> => runHere(args, { env: env(), cwd: api.folder });

it('fails and names the existing instances when it searched the namespace of the kubeconfig', async () => {
  policies.set('image-swapper', 'tools').set('swap-b', 'other');
  const ended = await run();
  expect(ended.stderr).toContain('nothing to delete: namespace default has no service with managed policies');
  expect(ended.stderr).toContain(
    'other/image-swapper (MutatingPolicy swap-b); tools/image-swapper (MutatingPolicy image-swapper)',
  );
  expect(ended.stderr).toContain('--namespace');
  expect(ended).toMatchObject({ code: 1, stdout: '' });
  expect([...policies.keys()]).toEqual(['image-swapper', 'swap-b']);
});

it('deletes only the policies of the given namespace', async () => {
  policies.set('image-swapper', 'tools').set('swap-b', 'other');
  expect(await runProgram([...args, '--namespace', 'tools'], env(), api.folder)).toMatchObject({
    code: 0,
    stdout: 'deleted MutatingPolicy image-swapper\n',
  });
  expect([...policies.keys()]).toEqual(['swap-b']);
});

it('succeeds if the service manages no policies', async () => {
  const stdout = 'nothing to delete: namespace default has no service with managed policies\n';
  expect(await run()).toMatchObject({ code: 0, stdout });
});
