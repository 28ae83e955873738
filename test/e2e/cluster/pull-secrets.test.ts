import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { renderMutatingWebhook } from '../../../extension-service/src/core/engines/webhook/mutating-webhook.js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { pushImage } from '../../bench/push-image.js';
import { buildImage } from '../../fakes/images.js';
import { RealRegistry, TEST_LOGIN } from '../../fakes/real-registry.js';
import { RunningService } from '../../fakes/service.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { AUDIT, requestsOf } from './audit.js';
import type { AuditedRequest } from './audit.js';
import { ControlPlane } from './control-plane.js';
import type { ApiObject } from './kube-api.js';
import { serviceAccount, WATCHING } from './service-account.js';
import type { PolicyRule } from './service-account.js';
import { until } from '../../fakes/until.js';

const available = await goToolsAvailable('pull secrets at a real API server');
const ACCOUNT = 'image-swapper';
/** Value of `auth.webhook.path`. */
const CALLER = 'c'.repeat(32);

/** The RBAC rules of the chart. */
const ALL: readonly PolicyRule[] = [
  { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'list', 'watch'] },
];
const named = (...names: string[]): readonly PolicyRule[] => [
  { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['get'] },
  { apiGroups: [''], resources: ['secrets'], resourceNames: names, verbs: ['get'] },
];

describe.skipIf(!available)('private images in a real cluster', () => {
  let plane: ControlPlane;
  let source: RealRegistry;
  let target: RealRegistry;
  let service: RunningService | undefined;
  let pushed = 0;

  beforeAll(async () => {
    [plane, source, target] = await Promise.all([
      ControlPlane.start(AUDIT),
      RealRegistry.start({ htpasswd: TEST_LOGIN.htpasswd }),
      RealRegistry.start(),
    ]);
  }, 180_000);
  afterEach(async () => {
    await service?.stop();
    service = undefined;
  });
  afterAll(async () => {
    await Promise.all([plane?.stop(), source?.stop(), target?.stop()]);
  }, 60_000);

  /** Starts the service in a separate namespace with these permissions for Secrets. */
  async function serve(namespace: string, rules: readonly PolicyRule[], config: object = {}): Promise<RunningService> {
    const own = [...(WATCHING.own ?? []), ...('own' in config ? (config.own as PolicyRule[]) : [])];
    const rights = { cluster: [...(WATCHING.cluster ?? []), ...rules], own };
    const kubeconfig = join(plane.folder, `${namespace}-kubeconfig`);
    await writeFile(kubeconfig, await serviceAccount(plane.api, { namespace, name: ACCOUNT, rights }));
    const { secretReader, credentials, guarded } = config as {
      secretReader?: object;
      credentials?: object;
      guarded?: boolean;
    };
    service = await RunningService.start({
      config: stringify({
        target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true } },
        source: {
          registries: [
            { type: 'oci', oci: { registry: source.host, insecure: true, ...(credentials && { credentials }) } },
          ],
          ...(guarded === true && { accessCheck: 'pullSecrets', directTarget: 'refuse' }),
        },
        ...(guarded === true && { auth: { webhook: { path: CALLER } }, policies: { engine: 'webhook' } }),
        ...(secretReader && { secretReader }),
      }),
      env: { KUBECONFIG: kubeconfig },
      plain: guarded !== true,
    });
    return service;
  }

  async function putSecret(namespace: string, name: string, password = TEST_LOGIN.password): Promise<void> {
    const auth = Buffer.from(`${TEST_LOGIN.username}:${password}`).toString('base64');
    const document = JSON.stringify({ auths: { [source.host]: { auth } } });
    await plane.api.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace, name },
      type: 'kubernetes.io/dockerconfigjson',
      data: { '.dockerconfigjson': Buffer.from(document).toString('base64') },
    });
  }

  async function putAccount(namespace: string, secrets: readonly string[]): Promise<void> {
    await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    const imagePullSecrets = secrets.map((name) => ({ name }));
    const metadata = { namespace, name: 'default' };
    await plane.api.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata, imagePullSecrets });
  }

  /** Creates a Pod with a new private image. @returns its repository in the source */
  async function putPod(namespace: string, secrets: readonly string[] = []): Promise<string> {
    pushed += 1;
    const name = `app-${pushed}`;
    await pushImage(source.host, name, buildImage({ seed: pushed, layerSize: 2_000 }), '1', TEST_LOGIN);
    await plane.api.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name },
      spec: {
        containers: [{ name: 'app', image: `${source.host}/${name}:1` }],
        imagePullSecrets: secrets.map((secret) => ({ name: secret })),
      },
    });
    return name;
  }

  async function mirrored(name: string): Promise<void> {
    const url = `http://${target.host}/v2/mirror/127.0.0.1_${source.port}/${name}/manifests/1`;
    await until(`${name} is mirrored`, async () => (await fetch(url, { method: 'HEAD' })).status === 200);
  }

  async function refused(running: RunningService, name: string): Promise<void> {
    await until(`the copy of ${name} is refused`, async () => {
      const reply = await fetch(`${running.operations}/v1/mirrors`);
      const { mirrors } = (await reply.json()) as { mirrors: { source: string; failure?: { reason: string } }[] };
      return mirrors.some((row) => row.source.includes(`/${name}:1`) && row.failure?.reason === 'unauthorized');
    });
  }

  /** Returns the statuses of all manifest requests for a source repository since the push. */
  const statuses = (name: string): number[] =>
    source
      .accessLog()
      .filter(({ method, path }) => method !== 'PUT' && path.startsWith(`/v2/${name}/manifests/`))
      .map(({ status }) => status);

  const asked = (namespace: string): Promise<AuditedRequest[]> => requestsOf(plane, namespace, ACCOUNT);
  const byName = async (namespace: string): Promise<string[]> =>
    (await asked(namespace)).filter(({ verb }) => verb === 'get').map(({ object }) => object);

  it('are mirrored with the current secrets of the Pod or its ServiceAccount, without a request per copy', async () => {
    await putAccount('by-account', ['account-secret']);
    await putSecret('by-account', 'account-secret');
    await putAccount('by-pod', []);
    await putSecret('by-pod', 'wrong', 'another-word');
    await putSecret('by-pod', 'right');
    await putAccount('rotated', []);
    await putSecret('rotated', 'pull', 'old-word');
    const opaque = { metadata: { namespace: 'by-pod', name: 'opaque' }, type: 'Opaque', stringData: { password: 'x' } };
    await plane.api.apply({ apiVersion: 'v1', kind: 'Secret', ...opaque });
    const running = await serve('swapper-all', ALL);

    // Until the watches have delivered the Secrets, the service may read the first Pod's Secrets by name.
    await mirrored(await putPod('by-account'));
    await until('the watches', async () => {
      const watched = (await asked('swapper-all')).filter(({ verb }) => verb === 'watch');
      return watched.length === 3;
    });
    const before = await byName('swapper-all');
    expect(before.length).toBeLessThanOrEqual(2);

    await mirrored(await putPod('by-account'));
    const several = await putPod('by-pod', ['wrong', 'right']);
    await mirrored(several);
    // The service gets the challenge, then tries the first Secret, and then uses the second.
    expect(statuses(several).slice(0, 3)).toEqual([401, 401, 200]);
    expect(statuses(several).slice(3)).not.toContain(401);

    await refused(running, await putPod('rotated', ['pull']));
    await putSecret('rotated', 'pull');
    await mirrored(await putPod('rotated', ['pull']));

    for (let i = 0; i < 5; i += 1) await mirrored(await putPod('by-pod', ['right']));
    expect(await byName('swapper-all')).toEqual(before);
    const collections = (await asked('swapper-all')).filter(({ object }) => object === 'secrets');
    expect(collections.every(({ uri }) => /fieldSelector=type%3Dkubernetes.io%2Fdockerc/.test(uri))).toBe(true);
    expect(JSON.stringify(running.log)).not.toMatch(/test-word|old-word|another-word/);
  }, 120_000);

  it('are mirrored with only the named Secrets and only the rights to read these', async () => {
    await putAccount('named', ['pull', 'other']);
    for (const name of ['pull', 'other', 'third'])
      await putSecret('named', name, name === 'pull' ? undefined : 'wrong');
    await serve('swapper-named', named('pull'), { secretReader: { secretNames: ['pull'] } });
    await mirrored(await putPod('named', ['third']));
    await mirrored(await putPod('named'));
    expect(new Set(await byName('swapper-named'))).toEqual(new Set(['serviceaccounts/default', 'secrets/pull']));
    expect((await asked('swapper-named')).filter(({ verb }) => verb !== 'get')).toEqual([]);
  }, 60_000);

  it('without secretReader are mirrored with the configuration’s credentials and without rights to Secrets', async () => {
    await putAccount('unread', []);
    await putSecret('unread', 'pull');
    const none = await serve('swapper-none', [], { secretReader: { enabled: false } });
    await refused(none, await putPod('unread', ['pull']));
    expect(await asked('swapper-none')).toEqual([]);
    await none.stop();

    const own = [{ apiGroups: [''], resources: ['secrets'], resourceNames: ['source'], verbs: ['get'] }];
    const config = { secretReader: { enabled: false }, credentials: { secretName: 'source' }, own };
    await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'swapper-own' } });
    await putSecret('swapper-own', 'source');
    await serve('swapper-own', [], config);
    await mirrored(await putPod('unread', ['pull']));
    expect(new Set(await byName('swapper-own'))).toEqual(new Set(['secrets/source']));
    expect((await asked('swapper-own')).filter(({ verb }) => verb !== 'get')).toEqual([]);
  }, 90_000);

  it('are swapped for Pods whose secrets can read the source and refused to others', async () => {
    for (const [namespace, password] of [
      ['tenant-a', TEST_LOGIN.password],
      ['tenant-b', 'wrong'],
    ] as const) {
      await putAccount(namespace, ['pull']);
      await putSecret(namespace, 'pull', password);
    }
    const { url, ca } = await serve('swapper-access', ALL, { guarded: true });
    const options = {
      url,
      caBundle: ca,
      callerPath: CALLER,
      targets: [`${target.host}/`],
      directTarget: 'refuse',
    } as const;
    const hook = renderMutatingWebhook({ ...options, failClosed: true, timeoutSeconds: 10 }) as unknown as ApiObject;
    const name = await putPod('tenant-a');
    await mirrored(name);
    await plane.api.apply(hook);
    try {
      const image = `${source.host}/${name}:1`;
      const place = `${target.host}/mirror/127.0.0.1_${source.port}/${name}:1`;
      /** Returns the Pod that the API server would store, or its refusal. */
      const create = async (namespace: string, wanted: string): Promise<string> => {
        const spec = { containers: [{ name: 'app', image: wanted }] };
        const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { namespace, name: 'asked' }, spec };
        const { status, body } = await plane.api.create(pod, '?dryRun=All');
        const answer = body as { message?: string; spec?: { containers: { image: string }[] } };
        return status === 201 ? (answer.spec?.containers[0]?.image ?? '') : `${status} ${answer.message ?? ''}`;
      };
      await until('tenant-a gets the mirror', async () => (await create('tenant-a', image)) === place);
      expect(await create('tenant-b', image)).toBe(image);
      expect(await create('tenant-a', place)).toBe(place);
      const refusal = await create('tenant-b', place);
      expect(refusal).toMatch(/^403 admission webhook "pods\.image-swapper\.dev" denied the request/);
      expect(refusal).toContain(`use ${image} instead`);
      expect(await create('tenant-b', `${target.host}/other/app:1`)).toBe(`${target.host}/other/app:1`);
    } finally {
      await plane.api.remove(hook);
    }
  }, 90_000);

  it('are not read without the rights, which is logged once', async () => {
    const running = await serve('swapper-forbidden', []);
    await refused(running, await putPod('by-pod', ['right']));
    const countLogged = (what: string): number =>
      running.log.filter(({ message, level }) => level === 'warn' && message.includes(what)).length;
    await until('the missing rights are said', async () => countLogged('/api/v1/secrets: not allowed to list') > 0);
    await refused(running, await putPod('by-pod', ['right']));
    expect(countLogged('/api/v1/secrets: not allowed to list')).toBe(1);
    expect(countLogged('/api/v1/serviceaccounts: not allowed to list')).toBe(1);
    expect(countLogged('Secret by-pod/right: not allowed to read it (403)')).toBe(1);
  }, 60_000);
});
