import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { parseConfig } from '../../../extension-service/src/config/parse.js';
import { decideContainer } from '../../../extension-service/src/core/decide/decide.js';
import { mirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import { compileRules } from '../../../extension-service/src/core/decide/rules.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { clusterSeenStore } from '../../../extension-service/src/kubernetes/first-seen-map.js';
import { RegistryCopier } from '../../../extension-service/src/mirror/registry-copier.js';
import { CopyFailedError } from '../../../extension-service/src/registry/copy-failure.js';
import { makeCertificates } from '../../fakes/certificates.js';
import type { Certificates } from '../../fakes/certificates.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeObjectServer } from '../../fakes/object-server.js';
import type { StoredObject } from '../../fakes/object-server.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { ScriptedServer } from '../../fakes/scripted-server.js';
import type { ScriptedAnswer } from '../../fakes/scripted-server.js';

const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'] });
const other = buildImage({ seed: 5 });
const HOUR = 3_600_000;
const MAP = '/api/v1/namespaces/team/configmaps/image-swapper-first-seen';

let source: FakeRegistry;
let target: FakeRegistry;
let webhook: ScriptedServer;
let answer: ScriptedAnswer;
let api: FakeObjectServer;
let folder: string;
let certificates: Certificates;
let reports: string[];
/** The current time for the copiers of a test, milliseconds since the epoch. */
let clock: number;
const closing: { close(): unknown }[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-gates-'));
  certificates = await makeCertificates({ hosts: ['127.0.0.1'] });
  api = await FakeObjectServer.start();
  await writeFile(join(folder, 'kubeconfig'), api.kubeconfig('team'));
});
afterAll(async () => {
  await api.close();
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  [source, target] = [await FakeRegistry.start(), await FakeRegistry.start()];
  webhook = await ScriptedServer.start(() => answer);
  answer = { status: 200, body: { verdict: 'allow' } };
  loadImage(source, 'app', image, '1');
  api.objects.clear();
  api.fault = () => undefined;
  reports = [];
  clock = Date.parse('2026-03-01T12:00:00Z');
});
afterEach(async () => {
  for (const one of closing.splice(0)) await one.close();
  await Promise.all([source.close(), target.close(), webhook.close()]);
});

interface Asked {
  readonly gate?: object;
  readonly inCluster?: boolean;
  readonly more?: object;
}

function world({ gate, inCluster = false, more = {} }: Asked) {
  const text = stringify({
    target: {
      type: 'oci',
      oci: { registry: target.host, prefix: 'mirror', insecure: true },
      ...(gate !== undefined && { gate }),
    },
    source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
    ...more,
  });
  const { config } = parseConfig({ text, file: 'image-swapper.yaml', env: {} });
  const copier = new RegistryCopier(config, {
    env: {},
    readSecret: () => Promise.reject(new Error('no Secret')),
    cloud: () => undefined,
    report: (problem) => void reports.push(problem),
    pullSecrets: { forPod: () => Promise.resolve(undefined), configure: () => undefined },
    now: () => clock,
    ...(inCluster && { seenStore: clusterSeenStore({ KUBECONFIG: join(folder, 'kubeconfig') }) }),
  });
  closing.push({
    // A late write would reach the next test's cluster.
    async close() {
      await copier.settled();
      copier.close();
    },
  });
  const rules = compileRules(config, namingTarget);
  const job = (asked: Partial<MirrorJob> = {}, name = 'app:1'): MirrorJob => {
    const container = { list: 'containers' as const, index: 0, name: '', image: `${source.host}/${name}`, object: {} };
    const decision = decideContainer(rules, {}, container);
    if (decision.action !== 'mirror') throw new Error(decision.detail);
    return { ...mirrorJob(decision), ...asked };
  };
  const copy = (asked: MirrorJob = job()) => copier.copy(asked, new AbortController().signal, () => undefined);
  /** Returns the gate's refusal of a copy. */
  const refused = async (asked: MirrorJob = job()) => {
    const error = await copy(asked).catch((reason: unknown) => reason);
    if (!(error instanceof CopyFailedError)) throw new Error('the gate let it through');
    return error.failure;
  };
  return { copier, job, copy, refused };
}

const path = (): string => `mirror/${source.host.replace(':', '_')}/app`;
const inTarget = (): string | undefined => target.manifest(path(), '1')?.digest;
const url = (): string => `${webhook.origin}/judge`;
const writes = (): string[] => target.requests().filter((line) => !/^(?:GET|HEAD) /.test(line));
const storedTimes = (): string => {
  const { data } = (api.objects.get(MAP) ?? {}) as { readonly data?: Readonly<Record<string, string>> };
  return data?.['first-seen'] ?? '';
};

describe('minimumAge', () => {
  it('holds a new digest without reading anything, and copies it when it is old enough', async () => {
    const { copy, refused } = world({ gate: { minimumAge: '72h' } });
    expect(await refused()).toEqual({
      reason: 'gated',
      message: `${source.host}/app:1: held by gate.minimumAge until 2026-03-04T12:00:00Z: it was first seen 2026-03-01T12:00:00Z, and minimumAge is 72h; nothing keeps this time when the process ends: run it in the cluster, or set KUBECONFIG`,
      retryable: true,
      gate: { check: 'minimumAge', verdict: 'held', until: clock + 72 * HOUR },
    });
    expect(writes()).toEqual([]);
    expect(source.requests().filter((line) => line.startsWith('GET'))).toEqual([]);
    clock += 72 * HOUR - 1;
    expect(await refused()).toMatchObject({ reason: 'gated' });
    clock += 1;
    expect(await copy()).toMatchObject({ digest: image.digest, upToDate: false });
    expect(inTarget()).toBe(image.digest);
  });

  it('starts at zero for a digest that a tag has moved to, while the target keeps the previous image', async () => {
    loadImage(target, path(), image, '1');
    const { copy, job, refused } = world({ gate: { minimumAge: '72h' } });
    loadImage(source, 'app', other, '1');
    expect(await refused(job({ force: true }))).toMatchObject({ gate: { until: clock + 72 * HOUR } });
    expect(inTarget()).toBe(image.digest);
    clock += 72 * HOUR;
    await copy(job({ force: true }));
    expect(inTarget()).toBe(other.digest);
  });

  it('keeps and repairs images that were in the target before the gate', async () => {
    loadImage(target, path(), image, '1');
    const { copy, job } = world({ gate: { minimumAge: '72h', webhook: { url: url() } } });
    expect(await copy(job({ force: true }))).toMatchObject({ upToDate: true });
    target.deleteManifest(path(), image.platforms.get('linux/arm64') ?? '');
    expect(await copy(job({ presenceCheck: 'tree' }))).toMatchObject({ digest: image.digest, upToDate: false });
    expect(webhook.log).toEqual([]);
  });

  it('adds no new name to a digest in the target that the gate does not allow', async () => {
    loadImage(target, path(), image, 'old');
    const { refused } = world({ gate: { minimumAge: '72h' } });
    expect(await refused()).toMatchObject({ reason: 'gated' });
    expect(inTarget()).toBeUndefined();
    expect(writes()).toEqual([]);
  });

  it('judges an index as a whole when platforms are left out', async () => {
    const { refused, copy } = world({ gate: { minimumAge: '1h' }, more: { mirror: { platforms: ['linux/amd64'] } } });
    expect(await refused()).toMatchObject({ gate: { check: 'minimumAge' } });
    expect(writes()).toEqual([]);
    clock += HOUR;
    await copy();
    expect(inTarget()).not.toBe(image.digest);
  });
});

describe('the ConfigMap of first-seen times', () => {
  const gate = { minimumAge: '72h' };

  it('keeps the age over a restart and for other replicas', async () => {
    const first = world({ gate, inCluster: true });
    await first.refused();
    await first.copier.settled();
    expect(storedTimes()).toBe(`${image.digest} 2026-03-01T12:00:00Z\n`);
    clock += 72 * HOUR;
    const second = world({ gate, inCluster: true });
    expect(await second.copy()).toMatchObject({ digest: image.digest });
    expect(reports).toEqual([]);
  });

  it('restarts the age when someone has emptied it', async () => {
    const first = world({ gate, inCluster: true });
    await first.refused();
    await first.copier.settled();
    api.objects.set(MAP, { ...(api.objects.get(MAP) as StoredObject), data: {} });
    clock += 72 * HOUR;
    const second = world({ gate, inCluster: true });
    expect(await second.refused()).toMatchObject({ gate: { until: clock + 72 * HOUR } });
    await second.copier.settled();
    expect(storedTimes()).toBe(`${image.digest} 2026-03-04T12:00:00Z\n`);
  });

  it('with a time in the future is corrected to now', async () => {
    const text = `${image.digest} 2026-03-01T13:00:00Z\n`;
    const metadata = { name: 'image-swapper-first-seen', namespace: 'team', resourceVersion: '1' };
    api.objects.set(MAP, { metadata, data: { 'first-seen': text } });
    const { refused, copier } = world({ gate, inCluster: true });
    expect(await refused()).toMatchObject({ gate: { until: clock + 72 * HOUR } });
    clock += 1;
    expect(await refused()).toMatchObject({ gate: { until: clock - 1 + 72 * HOUR } });
    await copier.settled();
  });

  it('receives the times of two replicas and keeps its labels', async () => {
    const metadata = { name: 'image-swapper-first-seen', namespace: 'team', resourceVersion: '1', labels: { a: 'b' } };
    api.objects.set(MAP, { metadata });
    loadImage(source, 'app', other, '2');
    const [one, two] = [world({ gate, inCluster: true }), world({ gate, inCluster: true })];
    await Promise.all([one.refused(), two.refused(two.job({}, 'app:2'))]);
    await Promise.all([one.copier.settled(), two.copier.settled()]);
    expect(
      storedTimes()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.split(' ')[0])
        .sort(),
    ).toEqual([image.digest, other.digest].sort());
    expect(api.objects.get(MAP)?.metadata['labels']).toEqual({ a: 'b' });
  });

  it('is reported with the missing right when it may not be read, and the age starts with the process', async () => {
    api.fault = () => 403;
    const { refused, copy } = world({ gate, inCluster: true });
    expect(await refused()).toMatchObject({ gate: { until: clock + 72 * HOUR } });
    expect(reports).toEqual([
      expect.stringMatching(
        /^gate\.minimumAge: ConfigMap team\/image-swapper-first-seen: not allowed: .*; grant the service get on it: ages of new images count from the start of this process until this is fixed$/,
      ),
    ]);
    clock += 72 * HOUR;
    expect(await copy()).toMatchObject({ digest: image.digest });
  });

  it('is not written in a dry run', async () => {
    const { copier, job } = world({ gate, inCluster: true, more: { dryRun: true } });
    const planned = copier.plan(job(), new AbortController().signal);
    await expect(planned).rejects.toMatchObject({ failure: { reason: 'gated' } });
    await copier.settled();
    expect(api.objects.has(MAP)).toBe(false);
  });
});

describe("a gate's webhook", () => {
  it('receives the reference, digest and platforms, and allows the image once for all names', async () => {
    const { copy, job } = world({ gate: { webhook: { url: url().replace('//', '//user:pass-word@') } } });
    await copy();
    expect(inTarget()).toBe(image.digest);
    loadImage(source, 'app', image, '2');
    await copy(job({}, 'app:2'));
    expect(webhook.log).toHaveLength(1);
    const [asked] = webhook.log;
    expect(JSON.parse(asked?.body ?? '')).toEqual({
      reference: `${source.host}/app:1`,
      digest: image.digest,
      platforms: ['linux/amd64', 'linux/arm64'],
      target: 'default',
    });
    expect(asked).toMatchObject({ method: 'POST', path: '/judge' });
    expect(asked?.headers.authorization).toBe(`Basic ${Buffer.from('user:pass-word').toString('base64')}`);
  });

  it('denies with its reason, is called once, and allows nothing in the meantime', async () => {
    answer = { status: 200, body: { verdict: 'deny', reason: 'CVE-2026-1\u001b[31m in openssl' } };
    const { refused } = world({ gate: { webhook: { url: url() } } });
    const failure = await refused();
    expect(failure).toMatchObject({ reason: 'gated', retryable: false, gate: { check: 'webhook', verdict: 'denied' } });
    expect(failure.message).toBe(`${source.host}/app:1: denied by gate.webhook: CVE-2026-1\ufffd[31m in openssl`);
    clock += 100 * HOUR;
    await refused();
    expect(webhook.log).toHaveLength(1);
    expect(writes()).toEqual([]);
  });

  const huge = 'x'.repeat(70_000);
  it.each<readonly [string, ScriptedAnswer, RegExp]>([
    ['500', { status: 500, body: 'oops' }, /judge answered 500$/],
    [
      'a redirect',
      { status: 307, headers: { location: 'http://127.0.0.1:1/' } },
      /answered 307, and redirects are not followed$/,
    ],
    ['text', { status: 200, body: 'all fine' }, /answered no JSON: "all fine"$/],
    [
      'other JSON',
      { status: 200, body: { allowed: true } },
      /answered "\{\\"allowed\\":true\}": \{"verdict": "allow"\} or/,
    ],
    ['a verdict of another type', { status: 200, body: { verdict: ['allow'] } }, /is expected$/],
    ['JSON nested without end', { status: 200, body: '['.repeat(5_000) }, /answered no JSON/],
    ['a huge body', { status: 200, body: huge }, /the response is longer than 65536 bytes$/],
  ])('that answers %s holds the image and is called again later', async (_, bad, message) => {
    answer = bad;
    const { refused, copy } = world({ gate: { webhook: { url: url().replace('//', '//user:pass-word@') } } });
    const failure = await refused();
    expect(failure).toMatchObject({
      reason: 'gated',
      retryable: true,
      gate: { verdict: 'held', until: clock + 30_000 },
    });
    expect(failure.message).toMatch(message);
    expect(failure.message).not.toContain('pass-word');
    clock += 29_999;
    await refused();
    expect(webhook.log).toHaveLength(1);
    clock += 1;
    expect(await refused()).toMatchObject({ gate: { until: clock + 60_000 } });
    answer = { status: 200, body: { verdict: 'allow' } };
    clock += 60_000;
    await copy();
    expect(inTarget()).toBe(image.digest);
  });

  it('that hangs holds the image after the timeout', async () => {
    const hanging = await silent();
    const { refused } = world({ gate: { webhook: { url: hanging.url, timeout: '200ms' } } });
    expect((await refused()).message).toContain('did not answer within 200ms');
  });

  it('that is unavailable allows images with onError allow, and reports it', async () => {
    const { copy } = world({ gate: { webhook: { url: 'http://127.0.0.1:1/judge', onError: 'allow' } } });
    expect(await copy()).toMatchObject({ digest: image.digest });
    expect(reports).toEqual([
      expect.stringMatching(
        /gate\.webhook lets it through \(onError allow\): the webhook POST http:\/\/127\.0\.0\.1:1\/judge/,
      ),
    ]);
  });

  it('is never called at a metadata address, however it is written', async () => {
    const { refused } = world({ gate: { webhook: { url: 'http://169.254.169.254/latest' } } });
    expect((await refused()).message).toContain(
      'is a link-local, metadata or reserved address, where the service calls no webhook',
    );
  });

  it('needs a certificate that caFile or the system trusts', async () => {
    const secure = await FakeObjectServer.start();
    closing.push(secure);
    const { refused } = world({ gate: { webhook: { url: `${secure.origin}/judge` } } });
    expect((await refused()).message).toContain('the certificate is not trusted');
    await writeFile(join(folder, 'ca.pem'), secure.ca);
    const trusting = world({ gate: { webhook: { url: `${secure.origin}/judge`, caFile: join(folder, 'ca.pem') } } });
    expect((await trusting.refused()).message).toContain('answered 401');
    await writeFile(join(folder, 'other.pem'), certificates.ca);
    const wrong = world({ gate: { webhook: { url: `${secure.origin}/judge`, caFile: join(folder, 'other.pem') } } });
    expect((await wrong.refused()).message).toContain('the certificate is not trusted');
  });

  it('is aborted with the copy that waits for it', async () => {
    const hanging = await silent();
    const { copier, job } = world({ gate: { webhook: { url: hanging.url, timeout: '30s' } } });
    const abort = new AbortController();
    const copying = copier.copy(job(), abort.signal, () => undefined);
    await hanging.asked;
    abort.abort();
    await expect(copying).rejects.toThrow();
  });
});

/** Starts a server that accepts requests and never responds. */
async function silent(): Promise<{ readonly url: string; readonly asked: Promise<void> }> {
  let heard: () => void = () => undefined;
  const asked = new Promise<void>((resolve) => (heard = resolve));
  const server: Server = createServer(() => heard());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push({
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, asked };
}
