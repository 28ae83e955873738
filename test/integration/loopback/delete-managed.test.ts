import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { ownerOf } from '../../../extension-service/src/kubernetes/managed-policies/owner.js';
import { makeCertificates } from '../../fakes/certificates.js';
import { kubeconfigFor } from '../../fakes/kubeconfig.js';
import { runProgram } from '../../fakes/program.js';
import type { ProgramResult } from '../../fakes/program.js';

/** A cluster with managed policies of one instance or more, and the command that deletes them, run from outside. */

const LIST = '/apis/policies.kyverno.io/v1/mutatingpolicies';
let folder: string;
let server: Server;
let kubeconfig: string;
/** The namespaces of the instances, by the names of their policies. */
const policies = new Map<string, string>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-delete-'));
  const { ca, cert, key } = await makeCertificates({ hosts: ['127.0.0.1'] });
  server = createServer({ cert, key }, (request, response) => {
    const url = new URL(request.url ?? '', 'https://a');
    const items = [...policies]
      .map(([name, namespace]) => policyOf(name, namespace))
      .filter(({ metadata }) => matches(metadata.labels, url.searchParams.get('labelSelector') ?? ''));
    const name = url.pathname.startsWith(`${LIST}/`) ? url.pathname.slice(LIST.length + 1) : undefined;
    if (name !== undefined && request.method === 'DELETE') policies.delete(name);
    const isKnown = url.pathname.startsWith(LIST);
    response.writeHead(isKnown ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(isKnown ? { kind: 'List', items } : { kind: 'Status', code: 404 }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  kubeconfig = join(folder, 'kubeconfig');
  await writeFile(kubeconfig, kubeconfigFor({ origin, ca, token: 'token' }, 'default'));
  await writeFile(join(folder, 'image-swapper.yaml'), 'target: {type: oci, oci: {registry: harbor.example.com}}\n');
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});
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

function run(...flags: string[]): Promise<ProgramResult> {
  return runProgram(['policies', '--delete-managed', ...flags], { KUBECONFIG: kubeconfig, HOME: folder }, folder);
}

it('names the instances that are there, and fails, when it looked in the namespace of the kubeconfig', async () => {
  policies.set('image-swapper', 'tools').set('swap-b', 'other');
  const ended = await run();
  expect(ended.stderr).toContain('nothing to delete: no managed policies of the service in namespace default');
  expect(ended.stderr).toContain(
    'other/image-swapper (MutatingPolicy swap-b); tools/image-swapper (MutatingPolicy image-swapper)',
  );
  expect(ended.stderr).toContain('--namespace');
  expect(ended).toMatchObject({ code: 1, stdout: '' });
  expect([...policies.keys()]).toEqual(['image-swapper', 'swap-b']);
});

it('deletes those of the namespace that it is given, and no others', async () => {
  policies.set('image-swapper', 'tools').set('swap-b', 'other');
  expect(await run('--namespace', 'tools')).toMatchObject({
    code: 0,
    stdout: 'deleted MutatingPolicy image-swapper\n',
  });
  expect([...policies.keys()]).toEqual(['swap-b']);
});

it('is content where nobody manages policies', async () => {
  const stdout = 'nothing to delete: no managed policies of the service in namespace default\n';
  expect(await run()).toMatchObject({ code: 0, stdout });
});
