import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { parse, stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG_HASH_ANNOTATION, configHash } from '../../../extension-service/src/core/policies/config-hash.js';
import { ownerOf } from '../../../extension-service/src/kubernetes/managed-policies/owner.js';
import { freePort } from '../../fakes/free-port.js';
import { runProgram } from '../../fakes/program.js';
import { RunningService } from '../../fakes/service.js';
import { blocks } from '../../tools/docs.js';
import { goModule, goToolsAvailable } from '../../tools/tool.js';
import { ControlPlane } from './control-plane.js';
import { installCrds } from './crds.js';
import { Front } from './front.js';
import { expectOk, pathOf } from './kube-api.js';
import type { ApiObject } from './kube-api.js';
import { startKyverno } from './kyverno-controller.js';
import { create, NAMESPACE, pod, tryOut } from './pods.js';
import type { PodObject } from './pods.js';
import type { Program } from './program.js';
import { serviceAccount, WATCHING } from './service-account.js';
import type { PolicyRule, Rights } from './service-account.js';
import { until } from '../../fakes/until.js';

const available = await goToolsAvailable('managed policies in a real cluster');
const OWN = 'image-swapper';
/** The permissions in docs/kyverno.md. */
const EXCEPTIONS = 'kyverno-exceptions';
const TARGETS = ['mirror.test/'];
const SWAPPED = 'mirror.test/docker.io/library/nginx:1';

const ADDITIONS = { pods: { pullSecret: 'mirror-login', annotate: true } };
const PULL_SECRETS = ['mirror-login', 'own'];
const ANNOTATIONS = { note: 'kept', 'image-swapper.io/original-images': JSON.stringify({ app: 'nginx:1' }) };

/** The names in any order: the kubelet tries all of them, and a strategic merge puts a new one first. */
function pullSecretsOf({ spec }: PodObject): readonly string[] {
  const secrets = (spec['imagePullSecrets'] ?? []) as readonly { readonly name: string }[];
  return secrets.map(({ name }) => name).sort();
}

/** The permissions that the chart grants, which are restricted to object names. */
function managing(group: string, resource: string, resourceNames: readonly string[]): readonly PolicyRule[] {
  const verbs = ['get', 'create', 'patch', 'update', 'delete'];
  return [{ apiGroups: [group], resources: [resource], verbs, resourceNames }];
}

const WEBHOOKS = managing('admissionregistration.k8s.io', 'mutatingwebhookconfigurations', ['image-swapper']);
const RIGHTS: Rights = {
  cluster: [
    ...managing('policies.kyverno.io', 'mutatingpolicies', ['image-swapper']),
    ...managing('kyverno.io', 'clusterpolicies', ['image-swapper']),
    ...managing('externaldata.gatekeeper.sh', 'providers', ['image-swapper']),
    ...managing(
      'mutations.gatekeeper.sh',
      'assign',
      ['containers', 'initcontainers', 'volumes'].flatMap((list) =>
        ['', '-1', '-2'].map((number) => `zz-image-swapper-${list}${number}`),
      ),
    ),
  ],
  own: [
    ...(WATCHING.own ?? []),
    { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'update'], resourceNames: ['image-swapper-tls'] },
    { apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'patch'], resourceNames: ['image-swapper-ca'] },
  ],
};

const object = (apiVersion: string, kind: string, name = 'image-swapper'): ApiObject => ({
  apiVersion,
  kind,
  metadata: { name },
});
const MUTATING_POLICY = object('policies.kyverno.io/v1', 'MutatingPolicy');
const CLUSTER_POLICY = object('kyverno.io/v1', 'ClusterPolicy');
const PROVIDER = object('externaldata.gatekeeper.sh/v1beta1', 'Provider');
const ASSIGN = object('mutations.gatekeeper.sh/v1', 'Assign', 'zz-image-swapper-containers');
const WEBHOOK = object('admissionregistration.k8s.io/v1', 'MutatingWebhookConfiguration');

interface Metadata {
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** The cluster has kube-apiserver, Kyverno, and two replicas of the service with only the permissions above. */
describe.skipIf(!available)('managed policies in a real cluster', () => {
  let plane: ControlPlane;
  let kyverno: Program;
  let kubeconfig: string;
  let front: Front;
  const http: number[] = [];
  const https: number[] = [];
  const services: RunningService[] = [];

  beforeAll(async () => {
    plane = await ControlPlane.start();
    kyverno = await startKyverno(plane, { trusted: '', exceptions: EXCEPTIONS });
    await grant(RIGHTS);
    for (const name of [NAMESPACE, EXCEPTIONS, 'build']) {
      await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    }
    const metadata = (name: string) => ({ name, namespace: OWN });
    await plane.api.create({ apiVersion: 'v1', kind: 'Secret', metadata: metadata('image-swapper-tls') });
    await plane.api.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata('image-swapper-ca') });
    for (let replica = 0; replica < 2; replica += 1) {
      http.push(await freePort());
      https.push(await freePort());
    }
    front = await Front.start(https[0] ?? 0);
    services.push(...(await Promise.all([0, 1].map(start))));
  }, 300_000);
  afterAll(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await front?.stop();
    await kyverno?.stop();
    await plane?.stop();
  }, 60_000);

  async function grant(rights: Rights): Promise<void> {
    kubeconfig = join(plane.folder, 'kubeconfig-service');
    await writeFile(kubeconfig, await serviceAccount(plane.api, { namespace: OWN, name: OWN, rights }));
  }

  function start(replica: number): Promise<RunningService> {
    return RunningService.start({
      config: config('kyverno'),
      env: { KUBECONFIG: kubeconfig },
      plain: true,
      listen: `127.0.0.1:${https[replica] ?? 0}`,
      flags: ['--http-listen-address', `127.0.0.1:${http[replica] ?? 0}`],
    });
  }

  function config(engine: string, filters: readonly string[] = [], more: object = {}): string {
    const url = engine === 'kyverno' ? `http://127.0.0.1:${http[0]}` : `https://localhost:${front.port}`;
    return stringify({
      imageSwapPolicy: 'always',
      imageCopyPolicy: 'none',
      reconcile: { enabled: false },
      source: { filters: filters.map((jmespath) => ({ jmespath })) },
      target: { type: 'oci', oci: { registry: 'mirror.test' } },
      tls: { mode: 'selfSigned', dnsNames: ['localhost'] },
      policies: { manage: true, engine, url },
      ...more,
    });
  }

  async function configure(text: string): Promise<void> {
    await Promise.all(services.map(({ configFile }) => writeFile(configFile, text)));
  }

  async function exists(one: ApiObject): Promise<boolean> {
    return (await plane.api.get(one)).status === 200;
  }

  async function metadataOf(one: ApiObject): Promise<Metadata> {
    return (expectOk(await plane.api.get(one), one.kind).body as { readonly metadata: Metadata }).metadata;
  }

  function change(one: ApiObject, patch: object): ReturnType<typeof plane.api.send> {
    return plane.api.send('PATCH', `${pathOf(one)}?fieldManager=somebody`, patch, 'application/merge-patch+json');
  }

  function logText(): string {
    return services.flatMap(({ log }) => log.map(({ message }) => message)).join('\n');
  }

  async function swaps(): Promise<boolean> {
    const admission = await create(plane.api, pod('nginx:1'));
    return admission.admitted && admission.images['app'] === SWAPPED;
  }

  /** Waits until swapped Pods get what `ADDITIONS` names. Returns such a Pod as the API server stores it. */
  async function addsToSwappedPods(): Promise<PodObject> {
    const made = pod('nginx:1', { imagePullSecrets: [{ name: 'own' }] }, { annotations: { note: 'kept' } });
    await until('the engine adds the pull secret', async () => {
      const admission = await tryOut(plane.api, made);
      if (!admission.admitted) throw new Error(admission.message);
      const seen = [pullSecretsOf(admission.object), admission.object.metadata['annotations']];
      return isDeepStrictEqual(seen, [PULL_SECRETS, ANNOTATIONS]);
    });
    expect(await create(plane.api, made)).toMatchObject({ images: { app: SWAPPED } });
    const live = expectOk(await plane.api.get(made), 'the Pod').body as PodObject;
    expect(pullSecretsOf(live)).toEqual(PULL_SECRETS);
    expect(live.metadata['annotations']).toEqual(ANNOTATIONS);

    const there = await create(plane.api, pod(SWAPPED));
    expect(there).toMatchObject({ images: { app: SWAPPED } });
    const untouched = there.admitted ? there.object : undefined;
    expect(untouched?.spec['imagePullSecrets']).toBeUndefined();
    expect(untouched?.metadata['annotations']).toBeUndefined();
    return live;
  }

  it('are created and used by the engine', async () => {
    await until('the policy is there', () => exists(MUTATING_POLICY));
    const { labels, annotations } = await metadataOf(MUTATING_POLICY);
    expect(labels).toMatchObject({ 'app.kubernetes.io/managed-by': 'image-swapper' });
    expect(annotations).toMatchObject({
      [CONFIG_HASH_ANNOTATION]: configHash([], TARGETS),
      'image-swapper.io/lease': 'image-swapper/image-swapper',
    });
    await until('Kyverno swaps', swaps);
  });

  it("exempt exactly what the guide's PolicyException names, where Kyverno reads it", async () => {
    const text = blocks('docs/kyverno.md', 'yaml').find((block) => block.includes('kind: PolicyException'));
    const exception = parse(text ?? '') as ApiObject;
    expect(exception.metadata.namespace).toBe(EXCEPTIONS);
    const inBuild = async (): Promise<string | undefined> => {
      const admission = await create(plane.api, pod('nginx:1', {}, { namespace: 'build' }));
      return admission.admitted ? admission.images['app'] : undefined;
    };
    // A policy in another namespace does not have an effect.
    const elsewhere = { ...exception, metadata: { ...exception.metadata, namespace: NAMESPACE } };
    expectOk(await plane.api.create(elsewhere), 'an exception that nobody reads');
    await sleep(3_000);
    expect(await inBuild()).toBe(SWAPPED);

    expectOk(await plane.api.create(exception), 'the exception');
    await until('Kyverno leaves the namespace out', async () => (await inBuild()) === 'nginx:1');
    expect(await swaps()).toBe(true);
    for (const one of [exception, elsewhere]) expectOk(await plane.api.send('DELETE', pathOf(one)), 'a deletion');
    await until('Kyverno swaps there again', async () => (await inBuild()) === SWAPPED);
  });

  it('have one writer, which writes nothing while nothing changes', async () => {
    // Kyverno writes the status of a new policy.
    await sleep(5_000);
    const { resourceVersion } = await metadataOf(MUTATING_POLICY);
    // This is longer than the pause between two checks.
    await sleep(33_000);
    expect((await metadataOf(MUTATING_POLICY)).resourceVersion).toBe(resourceVersion);
    expect(logText().match(/MutatingPolicy image-swapper: created/g)).toHaveLength(1);
  });

  it('are restored when someone changes them, without the additions', async () => {
    const before = (await plane.api.get(MUTATING_POLICY)).body as { readonly spec: object };
    const spec = {
      failurePolicy: 'Fail',
      matchConditions: [],
      matchConstraints: { objectSelector: { matchLabels: { swap: 'me' } } },
      auditAnnotations: [{ key: 'added', valueExpression: "'by somebody'" }],
    };
    expectOk(await change(MUTATING_POLICY, { metadata: { finalizers: ['example.com/keep'] }, spec }), 'a change');
    await until('it is put back', async () => {
      const { body } = await plane.api.get(MUTATING_POLICY);
      return JSON.stringify((body as { spec: object }).spec) === JSON.stringify(before.spec);
    });
    await until('Kyverno swaps', swaps);
    expect(await metadataOf(MUTATING_POLICY)).toMatchObject({ finalizers: ['example.com/keep'] });
    expectOk(await change(MUTATING_POLICY, { metadata: { finalizers: null } }), 'no finalizer');
  });

  it('follow the configuration at once', async () => {
    const filters = ["obj.metadata.labels.tier == 'system'"];
    await configure(config('kyverno', filters));
    await until('its hash', async () => {
      const { annotations } = await metadataOf(MUTATING_POLICY);
      return annotations[CONFIG_HASH_ANNOTATION] === configHash(filters, TARGETS);
    });
    const text = JSON.stringify((await plane.api.get(MUTATING_POLICY)).body);
    expect(text).toContain('tier');
  });

  it('add the pull secret and the original images to swapped Pods only', async () => {
    await configure(config('kyverno', [], ADDITIONS));
    const { spec } = await addsToSwappedPods();
    expect(spec['imagePullSecrets']).toEqual([{ name: 'own' }, { name: 'mirror-login' }]);
  });

  it('stay until the next engine is installed', async () => {
    // This policy belongs to someone else although it has our labels.
    const { labels } = await metadataOf(MUTATING_POLICY);
    const foreign = (await plane.api.get(MUTATING_POLICY)).body as ApiObject;
    expectOk(
      await plane.api.create({
        ...object('policies.kyverno.io/v1', 'MutatingPolicy', 'theirs'),
        metadata: { name: 'theirs', labels },
        spec: foreign['spec'],
      }),
      'another policy',
    );
    await configure(config('gatekeeper'));
    await until('it says what is missing', async () =>
      logText().includes('Provider image-swapper: the cluster does not have externaldata.gatekeeper.sh/v1beta1'),
    );
    expect(await exists(MUTATING_POLICY)).toBe(true);
    const module = 'github.com/open-policy-agent/gatekeeper/v3';
    await installCrds(plane.api, [join(await goModule('gatekeeper', module), 'charts', 'gatekeeper', 'crds')]);
    await until('the policies of Gatekeeper', () => exists(ASSIGN));
    await until('the policy before is gone', async () => !(await exists(MUTATING_POLICY)));
    expect(await exists(object('policies.kyverno.io/v1', 'MutatingPolicy', 'theirs'))).toBe(true);
    const { body } = await plane.api.get(PROVIDER);
    const { data } = (
      await plane.api.get({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'image-swapper-ca', namespace: OWN },
      })
    ).body as { data: Record<string, string> };
    const { caBundle } = (body as { readonly spec: { readonly caBundle: string } }).spec;
    expect(Buffer.from(caBundle, 'base64').toString('utf8')).toBe(data['ca.crt']);
  });

  it('are several with the same Provider while a filter needs them', async () => {
    const split = ["obj.metadata.namespace == 'a' && obj.metadata.labels.x == 'y'"];
    const numbered = [1, 2].map((number) =>
      object('mutations.gatekeeper.sh/v1', 'Assign', `${ASSIGN.metadata.name}-${number}`),
    );
    const isFor = async (filters: readonly string[]) =>
      (await metadataOf(PROVIDER)).annotations[CONFIG_HASH_ANNOTATION] === configHash(filters, []);
    const there = async (objects: readonly ApiObject[]) => (await Promise.all(objects.map(exists))).every(Boolean);
    await configure(config('gatekeeper', split));
    await until('one for each alternative', async () => (await there(numbered)) && (await isFor(split)));
    await until('the one before is gone', async () => !(await exists(ASSIGN)));
    await configure(config('gatekeeper'));
    await until('one again', async () => (await there([PROVIDER, ASSIGN])) && (await isFor([])));
    await until('the several are gone', async () => !(await Promise.all(numbered.map(exists))).some(Boolean));
  });

  it('stay as they are when the configuration has a filter that the engine cannot express', async () => {
    const { annotations } = await metadataOf(ASSIGN);
    await configure(config('gatekeeper', ['obj.spec.hostNetwork']));
    await until('it is refused', async () =>
      services.every(({ log }) => log.some(({ message }) => message.includes('configuration not reloaded'))),
    );
    expect(JSON.stringify(services[0]?.log)).toContain('source.filters[0].jmespath: Gatekeeper cannot decide');
    expect((await metadataOf(ASSIGN)).annotations).toEqual(annotations);
  });

  it('refer to the CA certificate in a ConfigMap where the engine supports it', async () => {
    await configure(config('kyverno-clusterpolicy'));
    await until('the policy is there', () => exists(CLUSTER_POLICY));
    await until("Gatekeeper's are gone", async () => !(await exists(ASSIGN)) && !(await exists(PROVIDER)));
    expect(await exists(object('policies.kyverno.io/v1', 'MutatingPolicy', 'theirs'))).toBe(true);
    await plane.api.remove(object('policies.kyverno.io/v1', 'MutatingPolicy', 'theirs'));
    await until('Kyverno swaps', swaps);
    await configure(config('kyverno-clusterpolicy', [], ADDITIONS));
    await addsToSwappedPods();
  });

  it('need rights, and missing ones are named', async () => {
    await configure(config('webhook'));
    await until('it says what to grant', async () =>
      /MutatingWebhookConfiguration image-swapper: not allowed: .* cannot patch resource "mutatingwebhookconfigurations".*; grant the service create, patch on it/.test(
        logText(),
      ),
    );
    expect(await exists(CLUSTER_POLICY)).toBe(true);
    await grant({ ...RIGHTS, cluster: [...(RIGHTS.cluster ?? []), ...WEBHOOKS] });
    await until('the webhook is there', () => exists(WEBHOOK));
    await until('the policy before is gone', async () => !(await exists(CLUSTER_POLICY)));
    await until('the API server swaps', swaps);
    await configure(config('webhook', [], ADDITIONS));
    await addsToSwappedPods();
  });

  it('are left to another install that manages an object of the same name, and restored after any other change', async () => {
    const { labels, annotations } = ownerOf({ lease: { name: 'swapper-b' } }, 'elsewhere');
    const before = await metadataOf(WEBHOOK);
    expectOk(await change(WEBHOOK, { metadata: { labels, annotations } }), 'as another install writes it');
    await until('it is logged', async () =>
      logText().includes(
        'MutatingWebhookConfiguration image-swapper: is managed by another install, with Lease elsewhere/swapper-b',
      ),
    );
    expect((await metadataOf(WEBHOOK)).labels).toMatchObject(labels);
    const own = { 'image-swapper.io/lease': before.annotations['image-swapper.io/lease'] };
    expectOk(await change(WEBHOOK, { metadata: { annotations: own } }), 'of no install');
    await until('the labels are ours again', async () =>
      isDeepStrictEqual((await metadataOf(WEBHOOK)).labels, before.labels),
    );
  });

  it('are kept by the next leader when the first leader dies', async () => {
    const wrote = 'MutatingWebhookConfiguration image-swapper: created';
    const leader = services.findIndex(({ log }) => log.some(({ message }) => message === wrote));
    expect(leader).toBeGreaterThanOrEqual(0);
    await services.splice(leader, 1)[0]?.stop('SIGKILL');
    await front.setBackendPort(https[1 - leader] ?? 0);
    expectOk(await plane.api.send('DELETE', pathOf(WEBHOOK)), 'delete');
    await until('the webhook is there again', () => exists(WEBHOOK));
    await until('the API server swaps', swaps);
  });

  it('are deleted by a command, without other objects', async () => {
    const file = join(plane.folder, 'delete.yaml');
    await writeFile(file, config('webhook'));
    // The command runs with a user's permissions. The service itself cannot list policies.
    const command = ['policies', '--delete-managed', '--config', file, '--namespace', OWN];
    const remove = () => runProgram(command, { KUBECONFIG: plane.kubeconfig });
    const { labels } = await metadataOf(WEBHOOK);
    const theirs = object('kyverno.io/v1', 'ClusterPolicy', 'theirs');
    const spec = {
      rules: [
        {
          name: 'one',
          match: { any: [{ resources: { kinds: ['Pod'] } }] },
          validate: { message: 'm', pattern: { metadata: { name: '?*' } } },
        },
      ],
    };
    expectOk(await plane.api.create({ ...theirs, metadata: { name: 'theirs', labels }, spec }), 'another policy');
    await Promise.all(services.splice(0).map((service) => service.stop()));
    expect(await exists(WEBHOOK)).toBe(true);
    expect(await remove()).toEqual({
      code: 0,
      stdout: 'deleted MutatingWebhookConfiguration image-swapper\n',
      stderr: '',
    });
    expect(await exists(WEBHOOK)).toBe(false);
    expect(await exists(theirs)).toBe(true);
    expect(await remove()).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing to delete') as unknown });
  });
});
