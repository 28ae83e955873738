import { writeFile } from 'node:fs/promises';
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { renderMutatingWebhook } from '../../../extension-service/src/core/engines/webhook/mutating-webhook.js';
import { makeCertificates } from '../../fakes/certificates.js';
import { freePort } from '../../fakes/free-port.js';
import { get } from '../../fakes/https-client.js';
import { runProgram } from '../../fakes/program.js';
import { RunningService } from '../../fakes/service.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { ControlPlane } from './control-plane.js';
import { Front } from './front.js';
import { expectOk } from './kube-api.js';
import type { ApiObject } from './kube-api.js';
import { create, NAMESPACE, pod } from './pods.js';
import { serviceAccount, WATCHING } from './service-account.js';
import type { Rights } from './service-account.js';
import { until } from '../../fakes/until.js';

const available = await goToolsAvailable('the serving certificate in a real cluster');
const OWN = 'image-swapper';
const SECRET: ApiObject = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'image-swapper-tls', namespace: OWN },
};
const CONFIG_MAP: ApiObject = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'image-swapper-ca', namespace: OWN },
};

/** This interval is short enough to hit each phase of a rotation, and long enough for parallel tests. */
const BETWEEN_CALLS_MS = 50;

/** The minimum permissions that the certificate needs with the webhook engine. They are restricted to object names. */
const RIGHTS: Rights = {
  cluster: [
    {
      apiGroups: ['admissionregistration.k8s.io'],
      resources: ['mutatingwebhookconfigurations'],
      verbs: ['get', 'patch'],
      resourceNames: ['image-swapper'],
    },
  ],
  own: [
    ...(WATCHING.own ?? []),
    { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'update'], resourceNames: ['image-swapper-tls'] },
    { apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'patch'], resourceNames: ['image-swapper-ca'] },
  ],
};

/** kube-apiserver calls two replicas with a webhook that fails closed. Each replica has only the permissions above. */
describe.skipIf(!available)('the serving certificate in a real cluster', () => {
  let plane: ControlPlane;
  let front: Front;
  let kubeconfig: string;
  const ports: number[] = [];
  const services: RunningService[] = [];
  let noSecret: ReturnType<typeof runProgram>;

  beforeAll(async () => {
    plane = await ControlPlane.start();
    kubeconfig = await account(OWN, RIGHTS);
    await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
    // The objects are empty, as in the chart, so that the service does not need permission to create them.
    await plane.api.create(SECRET);
    await plane.api.create(CONFIG_MAP);
    noSecret = withoutSecret();
    ports.push(await freePort(), await freePort());
    front = await Front.start(...ports);
    const elsewhere = await makeCertificates({ hosts: ['localhost'] });
    const webhook: object = renderMutatingWebhook({
      url: `https://localhost:${front.port}`,
      targets: ['mirror.test/'],
      filters: [],
      failClosed: true,
      timeoutSeconds: 10,
      caBundle: elsewhere.ca,
    });
    await plane.api.apply(webhook as ApiObject);
  }, 180_000);
  afterAll(async () => {
    await Promise.all(services.map((service) => service.stop()));
    await front?.stop();
    await plane?.stop();
  }, 60_000);

  async function account(name: string, rights: Rights): Promise<string> {
    const file = join(plane.folder, `kubeconfig-${name}`);
    await writeFile(file, await serviceAccount(plane.api, { namespace: OWN, name, rights }));
    return file;
  }

  function config(more: object = {}): string {
    return stringify({
      imageSwapPolicy: 'always',
      imageCopyPolicy: 'none',
      reconcile: { enabled: false },
      target: { type: 'oci', oci: { registry: 'mirror.test' } },
      tls: { mode: 'selfSigned', dnsNames: ['localhost'] },
      policies: { engine: 'webhook' },
      ...more,
    });
  }

  let fastPolls = 0;

  /**
   * Waits like `until`, and changes the configuration from time to time. Replicas check the Secret when the
   * configuration changes, and otherwise every 30 seconds.
   */
  async function waitUntil(what: string, condition: () => Promise<boolean>): Promise<void> {
    let next = 0;
    await until(what, async () => {
      if (await condition()) return true;
      if (performance.now() < next) return false;
      next = performance.now() + 3_000;
      fastPolls += 1;
      const changed = config({ answerBudget: `${200 + fastPolls}ms` });
      await Promise.all(services.map(({ configFile }) => writeFile(configFile, changed)));
      return false;
    });
  }

  function start(port: number): Promise<RunningService> {
    const listen = `127.0.0.1:${port}`;
    return RunningService.start({ config: config(), env: { KUBECONFIG: kubeconfig }, plain: true, listen });
  }

  /** Runs `serve` without permission to read the Secret. */
  async function withoutSecret(): ReturnType<typeof runProgram> {
    const file = join(plane.folder, 'no-secret.yaml');
    await writeFile(file, config());
    const env = { KUBECONFIG: await account('nobody', {}) };
    return runProgram(
      ['serve', '--config', file, '--listen-address', '127.0.0.1:0', '--metrics-address', '127.0.0.1:0'],
      env,
    );
  }

  async function secret(): Promise<Record<string, string>> {
    const { data = {} } = expectOk(await plane.api.get(SECRET), 'the Secret').body as { data?: Record<string, string> };
    return Object.fromEntries(
      Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'base64').toString('utf8')]),
    );
  }

  async function published(): Promise<string> {
    const { data = {} } = expectOk(await plane.api.get(CONFIG_MAP), 'the ConfigMap').body as {
      data?: Record<string, string>;
    };
    return data['ca.crt'] ?? '';
  }

  async function webhookBundle(): Promise<string> {
    const { body } = expectOk(
      await plane.api.get({
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'MutatingWebhookConfiguration',
        metadata: { name: 'image-swapper' },
      }),
      'the webhook',
    );
    const { webhooks } = body as { readonly webhooks: readonly { clientConfig: { caBundle: string } }[] };
    return Buffer.from(webhooks[0]?.clientConfig.caBundle ?? '', 'base64').toString('utf8');
  }

  /**
   * Returns the certificate that a replica presents to a client that trusts this bundle. @throws Error when the client
   * refuses it
   */
  function presented(port: number, ca: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, servername: 'localhost', ca, minVersion: 'TLSv1.3' }, () => {
        resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? '');
        socket.destroy();
      });
      socket.on('error', reject);
    });
  }

  async function ask(rotate: 'leaf' | 'ca'): Promise<void> {
    const metadata = { annotations: { 'image-swapper.io/rotate': rotate } };
    const path = `/api/v1/namespaces/${OWN}/secrets/image-swapper-tls`;
    expectOk(await plane.api.send('PATCH', path, { metadata }, 'application/merge-patch+json'), rotate);
  }

  /** Skips the overlap of two CAs by changing its end in the Secret. */
  async function age(): Promise<void> {
    const record = JSON.parse((await secret())['rotation.json'] ?? '{}') as { next: { reason: string } };
    const next = { ...record.next, signFrom: new Date(Date.now() - 1_000).toISOString() };
    const data = { 'rotation.json': Buffer.from(JSON.stringify({ ...record, next })).toString('base64') };
    const path = `/api/v1/namespaces/${OWN}/secrets/image-swapper-tls`;
    expectOk(await plane.api.send('PATCH', path, { data }, 'application/merge-patch+json'), 'age');
  }

  async function isUsedEverywhere(cert: string): Promise<boolean> {
    const { fingerprint256 } = new X509Certificate(cert);
    const seen = await Promise.all(ports.map(async (port) => presented(port, await published())));
    return seen.every((fingerprint) => fingerprint === fingerprint256);
  }

  it('is shared by replicas that start at the same time with an empty Secret', async () => {
    services.push(...(await Promise.all(ports.map((port) => start(port)))));
    const data = await secret();
    expect(Object.keys(data).sort()).toEqual(['ca.crt', 'ca.key', 'rotation.json', 'tls.crt', 'tls.key']);
    await until('both present it', async () =>
      (await Promise.all(ports.map((port) => presented(port, data['ca.crt'] ?? '')))).every(
        (fingerprint) => fingerprint === new X509Certificate(data['tls.crt'] ?? '').fingerprint256,
      ),
    );
  });

  it('has its CA certificate published where a policy reads it and in the webhook', async () => {
    const bundle = (await secret())['ca.crt'];
    await waitUntil('published', async () => (await published()) === bundle && (await webhookBundle()) === bundle);
    expect(await create(plane.api, pod('nginx:1'))).toMatchObject({
      images: { app: 'mirror.test/docker.io/library/nginx:1' },
    });
  });

  it('is rotated twice with its CA without a failed admission', async () => {
    const failures: string[] = [];
    let [admissions, handshakes] = [0, 0];
    const done = new AbortController();
    const admit = async (): Promise<void> => {
      while (!done.signal.aborted) {
        const admission = await create(plane.api, pod('nginx:1'));
        admissions += 1;
        if (!admission.admitted) failures.push(admission.message);
        else if (admission.images['app'] !== 'mirror.test/docker.io/library/nginx:1') failures.push('not swapped');
        await sleep(BETWEEN_CALLS_MS);
      }
    };
    // Calls with a new connection each time, as some engines do, and with the CA certificates that are published at
    // that moment.
    const handshake = async (port: number): Promise<void> => {
      while (!done.signal.aborted) {
        const bundle = await published();
        await sleep(BETWEEN_CALLS_MS);
        await presented(port, bundle).catch((error: unknown) => failures.push(`handshake: ${String(error)}`));
        handshakes += 1;
      }
    };
    const load = Promise.all([admit(), admit(), ...ports.map(handshake)]);
    const certificates = new Set([(await secret())['tls.crt']]);
    const authorities = new Set([(await secret())['ca.key']]);
    for (let round = 1; round <= 2; round += 1) {
      await ask('leaf');
      await waitUntil('another certificate', async () => !certificates.has((await secret())['tls.crt']));
      certificates.add((await secret())['tls.crt']);
      await waitUntil('it is presented', async () => isUsedEverywhere((await secret())['tls.crt'] ?? ''));

      await ask('ca');
      const overlapping = async (): Promise<boolean> => ((await secret())['rotation.json'] ?? '').includes('signFrom');
      await waitUntil('the next CA is published', overlapping);
      expect(await published()).toBe((await secret())['ca.crt']);
      expect(await webhookBundle()).toBe((await secret())['ca.crt']);
      expect((await secret())['tls.crt']).toBe([...certificates].at(-1));
      await age();
      await waitUntil('it signs', async () => !authorities.has((await secret())['ca.key']));
      authorities.add((await secret())['ca.key']);
      certificates.add((await secret())['tls.crt']);
      await waitUntil('what it signed is presented', async () => isUsedEverywhere((await secret())['tls.crt'] ?? ''));
    }
    done.abort();
    await load;
    expect(failures).toEqual([]);
    expect(authorities.size).toBe(3);
    expect(certificates.size).toBe(5);
    expect(Math.min(admissions, handshakes)).toBeGreaterThan(30);
    // The old CA certificates remain for replicas that still present certificates that they signed.
    expect((await published()).match(/BEGIN CERTIFICATE/g)).toHaveLength(3);
    process.stdout.write(`${admissions} admissions and ${handshakes} handshakes over 4 rotations: 0 failed\n`);
  }, 600_000);

  it('is recreated when an operator deletes it or the names change', async () => {
    const before = (await secret())['tls.crt'];
    const path = `/api/v1/namespaces/${OWN}/secrets/image-swapper-tls`;
    const patch = [{ op: 'remove', path: '/data/tls.crt' }];
    expectOk(await plane.api.send('PATCH', path, patch, 'application/json-patch+json'), 'delete tls.crt');
    await waitUntil('another', async () => ![undefined, before].includes((await secret())['tls.crt']));
    const tls = { mode: 'selfSigned', dnsNames: ['localhost', 'other.test'] };
    await Promise.all(services.map(({ configFile }) => writeFile(configFile, config({ tls }))));
    await until(
      'one for both names',
      async () => new X509Certificate((await secret())['tls.crt'] ?? '').checkHost('other.test') !== undefined,
    );
  });

  it('is reported by a metric, and no log contains a private key', async () => {
    const { 'tls.crt': cert = '', ...data } = await secret();
    await until('presented', async () => isUsedEverywhere(cert));
    const { text } = await get(`${services[0]?.operations}/metrics`);
    const expiry = Date.parse(new X509Certificate(cert).validTo) / 1_000;
    expect(text).toContain(`image_swapper_tls_certificate_expiry_timestamp_seconds ${expiry}`);
    const keys = [data['ca.key'], data['tls.key']].map((key = '') => key.split('\n')[1] ?? '');
    for (const { log } of services) for (const key of keys) expect(JSON.stringify(log)).not.toContain(key);
  });

  it('is not changed, and reported, if someone else created it', async () => {
    const { cert, key } = await makeCertificates({ hosts: ['localhost'] });
    const encode = (text: string): string => Buffer.from(text).toString('base64');
    const metadata = { name: 'cert-manager-made', namespace: OWN };
    const foreign = { ...SECRET, metadata, data: { 'tls.crt': encode(cert), 'tls.key': encode(key) } };
    expectOk(await plane.api.create(foreign), 'a Secret');
    const tls = { mode: 'selfSigned', dnsNames: ['localhost'], secretName: 'cert-manager-made' };
    const rights: Rights = {
      own: [
        { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'update'], resourceNames: ['cert-manager-made'] },
      ],
    };
    const file = join(plane.folder, 'foreign.yaml');
    await writeFile(file, config({ tls }));
    const ended = await runProgram(
      ['serve', '--config', file, '--listen-address', '127.0.0.1:0', '--metrics-address', '127.0.0.1:0'],
      { KUBECONFIG: await account('foreign', rights) },
    );
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain('Secret image-swapper/cert-manager-made: it contains tls.crt, tls.key');
    expect(expectOk(await plane.api.get(foreign), 'the Secret').body).toMatchObject({ data: foreign.data });
  });

  it('is awaited, and the missing right reported, where the service may not read the Secret', async () => {
    const { code, stderr } = await noSecret;
    expect(code).toBe(3);
    expect(stderr).toContain('no serving certificate after 60 s: Secret image-swapper/image-swapper-tls: not allowed');
    expect(stderr).toContain('cannot get resource \\"secrets\\"');
    expect(stderr).toContain('grant the service get, update on it');
  });
});
