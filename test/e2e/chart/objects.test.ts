import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KYVERNO_1_18_BLOCKLIST } from '../../../extension-service/src/core/engines/kyverno/chart-values.js';
import { AWS, CASES } from '../../tools/chart/cases.js';
import { Helm, installArgs } from '../../tools/helm.js';
import { goModule, goToolsAvailable } from '../../tools/tool.js';
import { isAllowed } from '../cluster/access.js';
import type { Access } from '../cluster/access.js';
import { ControlPlane } from '../cluster/control-plane.js';
import { installCrds } from '../cluster/crds.js';
import { Discovery } from '../cluster/discovery.js';
import { messageOf } from '../cluster/kube-api.js';
import { until } from '../../fakes/until.js';

const available = await goToolsAvailable('the Helm chart at a real API server');
const NAMESPACE = 'image-swapper';

describe.skipIf(!available)('the chart at a real API server', () => {
  let plane: ControlPlane;
  let helm: Helm;
  let discovery: Discovery;

  beforeAll(async () => {
    plane = await ControlPlane.start();
    helm = await Helm.create({ KUBECONFIG: plane.kubeconfig });
    discovery = new Discovery(plane.api);
    for (const name of [NAMESPACE, 'leases']) {
      await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    }
  });
  afterAll(async () => plane?.stop());

  it('names the missing engine and how to install it', async () => {
    const values = CASES[0]?.values ?? {};
    const { code, stderr } = await helm.run(['install', ...installArgs({ values })], JSON.stringify(values));
    expect(stderr).toContain(
      'policies.engine: this cluster does not have policies.kyverno.io/v1/MutatingPolicy. Install Kyverno 1.19 or newer (helm repo add kyverno',
    );
    expect(stderr).toContain('--set policies.engine=webhook works without one');
    expect(code).toBe(1);
  });

  describe('with the kinds of the engines, cert-manager and the Prometheus operator', () => {
    beforeAll(async () => {
      const kyverno = join(await goModule('kyverno', 'github.com/kyverno/kyverno'), 'config', 'crds');
      const gatekeeper = await goModule('gatekeeper', 'github.com/open-policy-agent/gatekeeper/v3');
      const prometheus = await goModule('chart-crds', 'github.com/prometheus-operator/prometheus-operator');
      const certManager = await goModule('chart-crds', 'github.com/cert-manager/cert-manager');
      await installCrds(plane.api, [
        join(kyverno, 'kyverno'),
        join(kyverno, 'policies.kyverno.io'),
        join(gatekeeper, 'charts', 'gatekeeper', 'crds'),
        join(prometheus, 'example', 'prometheus-operator-crd'),
        join(certManager, 'deploy', 'crds'),
      ]);
    });

    describe('with a Kyverno', () => {
      const install = async (
        version: string,
        args: readonly string[],
        values: object = CASES[0]?.values ?? {},
        env: readonly object[] = [],
      ) => {
        const image = `reg.kyverno.io/kyverno/kyverno:${version}`;
        const labels = { app: 'kyverno' };
        await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'kyverno' } });
        await plane.api.apply({
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: { name: 'kyverno-admission-controller', namespace: 'kyverno' },
          spec: {
            selector: { matchLabels: labels },
            template: {
              metadata: { labels },
              spec: { containers: [{ name: 'kyverno', image, args, env }] },
            },
          },
        });
        return helm.run(['install', ...installArgs({ values }), '--dry-run=server'], JSON.stringify(values));
      };
      afterAll(async () => {
        const metadata = { name: 'kyverno-admission-controller', namespace: 'kyverno' };
        await plane.api.remove({ apiVersion: 'apps/v1', kind: 'Deployment', metadata });
      });

      it('refuses a version that is too old for MutatingPolicy', async () => {
        const { code, stderr } = await install('v1.17.2', ['--httpBlocklist=127.0.0.0/8']);
        expect(stderr).toContain(
          'Deployment kyverno/kyverno-admission-controller is 1.17.2: upgrade Kyverno, or --set',
        );
        expect(code).toBe(1);
      });

      it('refuses 1.18 when its policies could not call the Service, and says what to set', async () => {
        const { code, stderr } = await install('v1.18.2', ['--v=2']);
        const value = KYVERNO_1_18_BLOCKLIST.replaceAll(',', '\\,');
        expect(stderr).toContain(`--set "admissionController.container.extraArgs.httpBlocklist=${value}"`);
        expect(code).toBe(1);
      });

      it('accepts 1.18 with another block list or a public name of the service, and 1.19', async () => {
        expect((await install('v1.18.2', [`--httpBlocklist=${KYVERNO_1_18_BLOCKLIST}`])).stderr).toBe('');
        const env = [{ name: 'FLAG_HTTP_BLOCKLIST', value: KYVERNO_1_18_BLOCKLIST }];
        expect((await install('v1.18.2', [], undefined, env)).stderr).toBe('');
        const values = { ...CASES[0]?.values, policies: { url: 'https://images.example.com' } };
        expect((await install('v1.18.2', [], values)).stderr).toBe('');
        expect((await install('v1.19.1', [])).stderr).toBe('');
      });
    });

    it.each(CASES)('every object of $name is accepted, without an unknown field', async ({ values }) => {
      for (const object of await helm.objects({ values })) {
        const named = { ...object, metadata: { namespace: NAMESPACE, ...object.metadata } };
        const reply = await discovery.dryRun(named);
        expect(reply.status, `${object.kind} ${object.metadata.name}: ${messageOf(reply)}`).toBe(201);
      }
    });

    it.each([
      [
        'zeros that were lost',
        'config: {target: {aws: {accountId: 002345678901, region: eu-central-1}}}',
        'config.target.aws.accountId is 2345678901, which has 10 digits, not 12: a values file reads unquoted digits as a number and loses the zero at their start. Put quotes around them: accountId: "012345678901".',
      ],
      [
        'obsolete values',
        { patch: { enabled: true } },
        'patch is obsolete in this chart (the service creates its own certificate)',
      ],
      [
        'a selector for another engine',
        { webhook: { objectSelector: { matchLabels: { a: 'b' } } } },
        'webhook.namespaceSelector and webhook.objectSelector apply only with policies.engine webhook; with kyverno use',
      ],
      [
        'plain HTTP for everybody',
        { networkPolicy: { enabled: false } },
        'networkPolicy.enabled is false: any client that reaches the service can call it',
      ],
      [
        "plain HTTP on the node's network",
        { hostNetwork: true },
        'with hostNetwork no NetworkPolicy applies: any client that reaches the service can call it',
      ],
      [
        'one replica that everything waits for',
        { policies: { failClosed: true }, replicaCount: 1 },
        'Fail closed with one replica',
      ],
      ['a right that is worth a cluster', { policies: { manage: true } }, 'and so could change every Pod'],
      ['Secrets of everybody', { secretReader: { enabled: true } }, 'the service may read every Secret in the cluster'],
      [
        'a dry run',
        { config: { dryRun: true, target: AWS } },
        'config.dryRun is on: Pods keep their images and nothing is copied',
      ],
    ])('the notes warn of %s', async (_name, values, warning) => {
      const text = typeof values === 'string' ? values : JSON.stringify({ config: { target: AWS }, ...values });
      const notes = await helm.ok(['install', ...installArgs({ values: text }), '--dry-run=server'], text);
      expect(notes).toContain(warning);
    });

    it('the notes of a default install warn of its open route, and of nothing else', async () => {
      const text = JSON.stringify(CASES[0]?.values);
      const notes = await helm.ok(['install', ...installArgs({ values: text }), '--dry-run=server'], text);
      expect(notes).toContain('Pods are sent to it by kyverno, at http://image-swapper.image-swapper.svc:8081.');
      expect(notes.split('\n').filter((line) => line.startsWith('* '))).toEqual([
        expect.stringContaining('policies.engine kyverno: its requests are not authenticated'),
      ]);
    });

    describe('grants its ServiceAccount', () => {
      const account = { namespace: NAMESPACE, name: 'image-swapper' };

      async function install(values: object): Promise<void> {
        const { config, ...others } = CASES[0]!.values as { readonly config: object };
        const all = { config, ...others, ...values };
        await helm.ok(['upgrade', '--install', ...installArgs({ values: all })], JSON.stringify(all));
      }
      async function rights(accesses: readonly Access[]): Promise<boolean[]> {
        return Promise.all(accesses.map((access) => isAllowed(plane.api, account, access)));
      }
      /** The API server's authorizer learns of new rules by a watch. */
      async function expectRights(values: object, yes: readonly Access[], no: readonly Access[]): Promise<void> {
        await install(values);
        const wanted = [...yes.map(() => true), ...no.map(() => false)];
        let seen: boolean[] = [];
        await until('the rights are those of the chart', async () => {
          seen = await rights([...yes, ...no]);
          return JSON.stringify(seen) === JSON.stringify(wanted);
        }).catch(() => undefined);
        const answers = (all: readonly Access[], allowed: readonly boolean[]) =>
          all.map((access, index) => `${allowed[index] === true ? 'may' : 'may not'} ${JSON.stringify(access)}`);
        expect(answers([...yes, ...no], seen)).toEqual(answers([...yes, ...no], wanted));
      }

      const own = (access: Access): Access => ({ namespace: NAMESPACE, ...access });
      const lease = (verb: string, name: string): Access =>
        own({ verb, group: 'coordination.k8s.io', resource: 'leases', name });
      const secret = (verb: string, namespace: string, name?: string): Access => ({
        ...{ verb, resource: 'secrets', namespace },
        ...(name !== undefined && { name }),
      });
      const WATCH: readonly Access[] = [
        { verb: 'list', resource: 'pods' },
        { verb: 'watch', group: 'apps', resource: 'deployments' },
        { verb: 'watch', group: 'batch', resource: 'cronjobs' },
      ];
      const TLS: readonly Access[] = [
        ...['get', 'update', 'patch'].map((verb) => secret(verb, NAMESPACE, 'image-swapper-tls')),
        own({ verb: 'patch', resource: 'configmaps', name: 'image-swapper-ca' }),
      ];
      const NEVER: readonly Access[] = [
        { verb: 'create', resource: 'pods' },
        { verb: 'update', resource: 'pods' },
        { verb: 'create', resource: 'secrets', namespace: NAMESPACE },
        { verb: 'patch', resource: 'configmaps', namespace: NAMESPACE, name: 'image-swapper' },
        { verb: 'create', group: 'rbac.authorization.k8s.io', resource: 'clusterrolebindings' },
        { verb: 'delete', resource: 'namespaces' },
        lease('update', 'another'),
      ];
      const policy = (verb: string, name = 'image-swapper'): Access => ({
        ...{ verb, group: 'policies.kyverno.io', resource: 'mutatingpolicies', name },
      });

      it('by default the rights for watches, the Lease, Events and the certificate, and no Secret', async () => {
        await expectRights(
          {},
          [
            ...WATCH,
            ...TLS,
            ...['get', 'update', 'patch', 'create'].map((verb) => lease(verb, 'image-swapper')),
            { verb: 'create', resource: 'events', namespace: 'team-a' },
            { verb: 'create', group: 'events.k8s.io', resource: 'events', namespace: 'team-a' },
          ],
          [
            ...NEVER,
            secret('get', NAMESPACE),
            secret('get', 'team-a', 'regcred'),
            secret('list', 'team-a'),
            { verb: 'get', resource: 'serviceaccounts', namespace: 'team-a', name: 'default' },
            ...['get', 'create', 'patch', 'delete'].map((verb) => policy(verb)),
          ],
        );
      });

      it('with secretReader all Secrets, or only the named ones', async () => {
        const serviceAccount = { verb: 'get', resource: 'serviceaccounts', namespace: 'team-a', name: 'default' };
        await expectRights(
          { secretReader: { enabled: true } },
          [secret('get', 'team-a', 'regcred'), secret('list', 'team-a'), serviceAccount],
          [...NEVER, secret('update', 'team-a', 'regcred')],
        );
        await expectRights(
          { secretReader: { enabled: true, secretNames: ['regcred'] } },
          [secret('get', 'team-a', 'regcred'), serviceAccount],
          [...NEVER, secret('get', 'team-a', 'other'), secret('list', 'team-a')],
        );
      });

      it('no rights for a feature that is off', async () => {
        const target = { oci: { registry: 'harbor.example.com', credentials: { secretName: 'harbor' } } };
        const config = { target, reconcile: { enabled: false }, events: { enabled: false } };
        await expectRights(
          { config, tls: { mode: 'disabled' } },
          [secret('get', NAMESPACE, 'harbor')],
          [
            ...NEVER,
            ...WATCH,
            ...TLS,
            lease('create', 'image-swapper'),
            lease('get', 'image-swapper'),
            { verb: 'create', resource: 'events', namespace: 'team-a' },
          ],
        );
      });

      it('patches the CA certificate of the one object that contains it', async () => {
        const provider = (verb: string, name: string): Access => ({
          ...{ verb, group: 'externaldata.gatekeeper.sh', resource: 'providers', name },
        });
        await expectRights(
          { policies: { engine: 'gatekeeper' } },
          [provider('get', 'image-swapper'), provider('patch', 'image-swapper')],
          [
            ...NEVER,
            provider('create', 'image-swapper'),
            provider('patch', 'other'),
            {
              verb: 'patch',
              group: 'mutations.gatekeeper.sh',
              resource: 'assign',
              name: 'zz-image-swapper-containers',
            },
          ],
        );
      });

      it('with policies.manage the rights that filters with several conditions need under Gatekeeper', async () => {
        const access = (verb: string, group: string, resource: string, name: string): Access => ({
          ...{ verb, group, resource, name },
        });
        const provider = (verb: string, name = 'image-swapper') =>
          access(verb, 'externaldata.gatekeeper.sh', 'providers', name);
        const assign = (verb: string, name: string) => access(verb, 'mutations.gatekeeper.sh', 'assign', name);
        const verbs = ['create', 'get', 'patch', 'update', 'delete'];
        await expectRights(
          { policies: { manage: true, engine: 'gatekeeper' } },
          [...verbs.map((verb) => provider(verb)), ...verbs.map((verb) => assign(verb, 'zz-image-swapper-volumes-8'))],
          [...NEVER, assign('patch', 'other'), provider('get', 'image-swapper-0123456789ab'), policy('patch')],
        );
      });

      it('with policies.manage the policies of its engine', async () => {
        await expectRights(
          { policies: { manage: true } },
          ['get', 'create', 'patch', 'update', 'delete'].map((verb) => policy(verb)),
          [
            ...NEVER,
            { verb: 'list', group: 'policies.kyverno.io', resource: 'mutatingpolicies' },
            policy('delete', 'other'),
            ...['get', 'list', 'delete'].map((verb) => ({
              ...{ verb, group: 'admissionregistration.k8s.io', resource: 'mutatingwebhookconfigurations' },
              ...(verb !== 'list' && { name: 'image-swapper' }),
            })),
            policy('patch', 'other'),
            policy('update', 'other'),
            { verb: 'create', group: 'admissionregistration.k8s.io', resource: 'mutatingwebhookconfigurations' },
          ],
        );
      });
    });
  });
});
