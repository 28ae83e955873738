import { stringify } from 'yaml';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import { decideContainer } from '../../../extension-service/src/core/decide/decide.js';
import { compileRules } from '../../../extension-service/src/core/decide/rules.js';
import { RegistryCopier } from '../../../extension-service/src/mirror/registry-copier.js';
import { RegistryLookup } from '../../../extension-service/src/targets/registry-lookup.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { parseConfig } from '../../../extension-service/src/config/parse.js';
import { buildImage, buildReferrer, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';

const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const image = buildImage();

let source: FakeRegistry;
let target: FakeRegistry;
let reports: string[];
const copiers: RegistryCopier[] = [];

beforeEach(async () => {
  [source, target] = [await FakeRegistry.start(), await FakeRegistry.start()];
  loadImage(source, 'app', image, '1');
  reports = [];
});
afterEach(async () => {
  for (const copier of copiers.splice(0)) copier.close();
  await Promise.all([source.close(), target.close()]);
});

const nothing = {
  env: {},
  readSecret: () => Promise.reject(new Error('no Secret')),
  cloud: () => {
    return undefined;
  },
} as const;

function world(more: object = {}) {
  const text = stringify({
    target: { type: 'oci', oci: { registry: target.host, prefix: 'mirror', insecure: true } },
    source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
    ...more,
  });
  const { config } = parseConfig({ text, file: 'image-swapper.yaml', env: {} });
  const options = { ...nothing, report: (problem: string) => void reports.push(problem) };
  const copier = new RegistryCopier(config, {
    ...options,
    pullSecrets: { forPod: () => Promise.resolve(undefined), configure: () => undefined },
  });
  copiers.push(copier);
  const rules = compileRules(config, namingTarget);
  const job = (tag = '1', asked: Partial<MirrorJob> = {}): MirrorJob => {
    const container = {
      list: 'containers' as const,
      index: 0,
      name: '',
      image: `${source.host}/app:${tag}`,
      object: {},
    };
    const decision = decideContainer(rules, {}, container);
    if (decision.action !== 'mirror') throw new Error(decision.detail);
    return { ...mirrorJob(decision), ...asked };
  };
  const copy = (asked: MirrorJob) => copier.copy(asked, new AbortController().signal, () => undefined);
  return { config, options, copier, job, copy };
}

function attach(type = BUNDLE): string {
  const top = image.manifests.at(-1);
  if (top === undefined) throw new Error('no index');
  const { manifest, blobs } = buildReferrer(top, type, type);
  for (const blob of blobs) source.putBlob('app', blob);
  return source.putManifest('app', manifest.digest, manifest.mediaType, manifest.bytes);
}

function repository(): string {
  return `mirror/${source.host.replace(':', '_')}/app`;
}

function requestsOf(registry: FakeRegistry, from: number): string[] {
  return registry
    .requests()
    .slice(from)
    .map((line) => line.replace(repository(), 'app').replace('/v2/app/', ''));
}

describe('an image that is up to date', () => {
  it.each([
    ['that this process copied', false],
    ['that was in the target before', true],
  ])('costs a refresh one request at each registry and one list of referrers (an image %s)', async (_, wasThere) => {
    const { copy, job } = world();
    attach();
    if (wasThere) loadImage(target, repository(), image, '1');
    await copy(job('1', { force: true }));
    const before = [source.accessLog.length, target.accessLog.length] as const;
    expect(await copy(job('1', { force: true }))).toMatchObject({ upToDate: true });
    expect(requestsOf(source, before[0])).toEqual(['HEAD manifests/1', `GET referrers/${image.digest}`]);
    expect(requestsOf(target, before[1])).toEqual(['HEAD manifests/1']);
  });

  it('costs a refresh one request at each registry where mirror.platforms leaves platforms out', async () => {
    const { copy, job } = world({ mirror: { platforms: ['linux/amd64'] } });
    const made = await copy(job('1', { force: true }));
    expect(made.digest).not.toBe(image.digest);
    const before = [source.accessLog.length, target.accessLog.length] as const;
    expect(await copy(job('1', { force: true }))).toMatchObject({ upToDate: true, digest: made.digest });
    expect(requestsOf(source, before[0])).toEqual(['HEAD manifests/1']);
    expect(requestsOf(target, before[1])).toEqual(['HEAD manifests/1']);
    // The copier reads a tag that has moved.
    const moved = buildImage({ seed: 2 });
    loadImage(source, 'app', moved, '1');
    expect(await copy(job('1', { force: true }))).toMatchObject({ upToDate: false });
    expect(target.manifest(repository(), '1')?.digest).not.toBe(made.digest);
  });

  it('is not copied repeatedly when an attestation is missing at the source and the index is written without it', async () => {
    const attested = buildImage({ seed: 4, attestations: true });
    loadImage(source, 'app', attested, '1');
    const lost = attested.manifests.find(
      ({ platform, digest }) => platform === undefined && digest !== attested.digest,
    );
    source.deleteManifest('app', lost?.digest ?? '');
    const { copy, job } = world({ mirror: { platforms: ['linux/amd64', 'linux/arm64'] } });
    expect(await copy(job('1', { force: true }))).toMatchObject({ upToDate: false });
    const before = target.accessLog.length;
    expect(await copy(job('1', { force: true }))).toMatchObject({ upToDate: true });
    expect(requestsOf(target, before)).toEqual(['HEAD manifests/1']);
  });

  it('costs the reconciler one request at the target, and the list once per interval', async () => {
    const { copy, job } = world();
    loadImage(target, repository(), image, '1');
    await copy(job());
    const signature = attach();
    await copy(job());
    expect(requestsOf(source, 0).filter((line) => line.startsWith('GET'))).toEqual([`GET referrers/${image.digest}`]);
    const later = world({ mirror: { refresh: { interval: '1s' } } });
    await later.copy(later.job());
    expect(target.manifest(repository(), signature)).toBeDefined();
  });

  it('stays up to date while its source is unavailable', async () => {
    const { copy, job } = world();
    loadImage(target, repository(), image, '1');
    source.fault({ action: { type: 'status', status: 403 } });
    expect(await copy(job())).toMatchObject({ upToDate: true, digest: image.digest });
    expect(reports).toEqual([]);
  });

  it('is checked completely under imageCopyPolicy force, and unreadable layers are sent', async () => {
    const { copy, job } = world({ imageCopyPolicy: 'force' });
    loadImage(target, repository(), image, '1');
    const [lost] = image.blobs;
    target.fault({ method: 'GET', path: lost?.digest ?? '', times: 1, action: { type: 'truncate', after: 0 } });
    const outcome = await copy(job());
    expect(outcome).toMatchObject({ upToDate: false, bytes: { uploaded: lost?.size } });
    expect(outcome.repaired?.length).toBeGreaterThan(0);
    expect(reports.join('\n')).toMatch(/was damaged: restored .*/);
    expect(await copy(job())).toMatchObject({ upToDate: true });
  });
});

describe('the findings of an audit', () => {
  it('are restored without comparing the tag of the source', async () => {
    const { copy, job } = world();
    await copy(job());
    loadImage(source, 'app', buildImage({ seed: 2 }), '1');
    const child = image.manifests[0]?.digest ?? '';
    target.deleteManifest(repository(), child);
    expect(await copy(job())).toMatchObject({ upToDate: true });
    const audit = job('1', { presenceCheck: 'tree', allReferrers: true });
    const outcome = await copy(audit);
    expect(outcome.repaired).toContain(`manifest ${child}`);
    expect(target.manifest(repository(), child)).toBeDefined();
    expect(target.manifest(repository(), '1')?.digest).toBe(image.digest);
  });
});

describe('signatures that temporarily cannot be read', () => {
  it('are unfinished, and copied by the next check, wherever they are', async () => {
    const { copy, job } = world();
    const tag = `${(image.manifests[0]?.digest ?? '').replace(':', '-')}.sig`;
    const { manifest, blobs } = buildReferrer(image.manifests[0] as never, BUNDLE, 'signature');
    for (const blob of blobs) source.putBlob('app', blob);
    source.putManifest('app', tag, manifest.mediaType, manifest.bytes);
    source.fault({ path: tag, action: { type: 'status', status: 503 } });
    await expect(copy(job())).rejects.toMatchObject({ failure: { retryable: true } });
    await expect(copy(job())).rejects.toMatchObject({ failure: { retryable: true } });
    expect((await copy(job())).unfinished).toEqual([{ what: `tag ${tag}`, kind: 'signature' }]);
    expect(target.tags(repository())).toEqual(['1']);
    source.clearFaults();
    expect((await copy(job())).unfinished).toBeUndefined();
    expect(target.manifest(repository(), tag)?.digest).toBe(manifest.digest);
  });
});

describe('a target that ignores the case of tags', () => {
  it('does not report a tag with capitals as present, and reports why', async () => {
    await target.close();
    target = await FakeRegistry.start({ foldTags: true });
    const { config, options, job } = world();
    loadImage(target, repository(), image, 'v1.0');
    const lookup = new RegistryLookup(config, options);
    const look = (tag: string) => lookup.head('default', job(tag).reference, new AbortController().signal);
    expect(await look('v1.0')).toEqual({ digest: image.digest });
    const error = await look('V1.0').catch((reason: unknown) => reason);
    expect(lookup.classify(error)).toMatchObject({
      reason: 'other',
      message: expect.stringContaining('V1.0 is not copied: this registry ignores the case of tags') as string,
    });
  });
});

describe.each([
  [401, 'unauthorized'],
  [403, 'forbidden'],
])('a target that answers %i for manifests that it does not have', (status, reason) => {
  const hide = (method: string): void => {
    target.fault({
      method,
      path: /\/manifests\//,
      action: () =>
        target.digests(repository()).length === 0 ? { type: 'status', status } : { type: 'delay', milliseconds: 0 },
    });
  };

  it('gets the image if the login may push there', async () => {
    const { job, copy } = world();
    for (const method of ['HEAD', 'GET']) hide(method);
    await copy(job());
    expect(target.manifest(repository(), '1')?.digest).toBe(image.digest);
    expect(target.openUploads).toBe(0);
  });

  it('is refused, and the source is not read, if the login may not push there', async () => {
    const { job, copy } = world();
    for (const method of ['HEAD', 'GET', 'POST'])
      target.fault({ method, path: '/v2/', action: { type: 'status', status } });
    await expect(copy(job())).rejects.toMatchObject({ failure: { reason } });
    expect(source.requests()).toEqual([]);
  });
});
