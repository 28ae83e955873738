import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { ADMIN_PERMISSIONS, GoogleCloud, POD_ACCOUNT, TARGET_CONFIG, TARGET_HOST } from '../../fakes/google/cloud.js';
import { get, post } from '../../fakes/https-client.js';
import { buildImage } from '../../fakes/images.js';
import { RunningService } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';

/**
 * The running service with a target in Artifact Registry: admissions while Google does not respond, logins and
 * settings.
 */

let google: GoogleCloud;
let service: RunningService | undefined;
const image = buildImage({ platforms: ['linux/amd64'], layerSize: 5_000 });
/** Far above the budget of 200 ms because the machine may be busy, and below any timeout for Google (5 s or more). */
const DEADLINE_MS = 4_500;

beforeEach(async () => {
  google = await GoogleCloud.start();
});
afterEach(async () => {
  if (service?.process.exitCode === null) await service.stop('SIGKILL');
  service = undefined;
  await google.close();
});

async function start(gcp: Record<string, unknown> = {}, more: Record<string, unknown> = {}): Promise<RunningService> {
  const target = { type: 'gcp', gcp: { ...TARGET_CONFIG, ...gcp } };
  service = await RunningService.start({ config: stringify({ target, ...more }), env: google.env, plain: true });
  return service;
}

async function admit(name: string): Promise<{ readonly image: string | undefined; readonly milliseconds: number }> {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web' },
    spec: { containers: [{ name: 'app', image: name }] },
  };
  const request = { uid: 'u', namespace: 'team-a', operation: 'CREATE', object: pod };
  const before = performance.now();
  const reply = await post(`${service?.url ?? ''}/v1/kyverno`, JSON.stringify({ request }));
  const milliseconds = performance.now() - before;
  expect(reply.status).toBe(200);
  const answer = reply.json() as { images: { containers?: { app?: string } } };
  return { image: answer.images.containers?.app, milliseconds };
}

async function metrics(): Promise<string> {
  return (await get(`${service?.operations ?? ''}/metrics`)).text;
}

const mirroredName = (tag = '1.0'): string => `${TARGET_HOST}/my-project-123/mirror/registry.example.com/app:${tag}`;

describe('while Google does not answer', () => {
  it('is ready at once, admits Pods inside the budget with their source image, and mirrors when the answer comes', async () => {
    google.metadata.mode = 'hang';
    const name = google.push(image);
    const before = performance.now();
    await start();
    // The login is given up after ten seconds.
    expect(performance.now() - before).toBeLessThan(9_500);
    expect((await get(`${service?.operations ?? ''}/readyz`)).status).toBe(200);
    const times: number[] = [];
    for (let i = 0; i < 12; i += 1) {
      const { image: answered, milliseconds } = await admit(google.push(image, `app:${i}`));
      expect(answered).toBeUndefined();
      times.push(milliseconds);
    }
    expect(Math.max(...times)).toBeLessThan(DEADLINE_MS);
    expect(google.metadata.tokenRequests().length).toBeGreaterThan(0);

    google.metadata.mode = 'serve';
    await admit(name);
    await until('the image is mirrored', async () => (await admit(name)).image === mirroredName());
    const text = await metrics();
    expect(text).toMatch(/image_swapper_auth_refresh_total\{registry="target default",outcome="failed"\} [1-9]/);
    expect(text).toMatch(/image_swapper_auth_refresh_total\{registry="target default",outcome="renewed"\} [1-9]/);
    const failures = service?.log.filter(
      ({ level, message }) => level === 'warn' && message.includes('metadata server'),
    );
    expect(failures?.[0]?.message).toContain('does not answer (no answer within 10000 ms)');
    expect(failures?.[0]?.['registry']).toBe('target default');
  });

  it('answers within the budget when the registry is unreachable', async () => {
    google.proxy.setBlackHole(TARGET_HOST, 'connect');
    const name = google.push(image);
    await start();
    for (let i = 0; i < 6; i += 1) {
      const { image: answered, milliseconds } = await admit(name);
      expect(answered).toBeUndefined();
      expect(milliseconds).toBeLessThan(DEADLINE_MS);
    }
  });
});

describe('the login', () => {
  it('is shared by both threads, renewed after half of its lifetime, shown as a metric, and in no log', async () => {
    google.metadata.lifetime = 21;
    const name = google.push(image);
    await start({}, { logLevel: 'debug' });
    await admit(name);
    await until('the image is mirrored', async () => (await admit(name)).image === mirroredName());
    expect(google.metadata.tokenRequests()).toHaveLength(1);
    const expiry = (text: string): number =>
      Number(/auth_token_expiry_timestamp_seconds\{registry="target default"\} (\S+)/.exec(text)?.[1]);
    const first = expiry(await metrics());
    expect(first - Date.now() / 1_000).toBeGreaterThan(5);
    expect(first - Date.now() / 1_000).toBeLessThan(22);
    // The service renews the login long before it expires, without a request.
    await until('the login is renewed', () => google.metadata.tokenRequests().length >= 2);
    expect(Date.now() / 1_000).toBeLessThan(first);
    await until('the metric follows', async () => expiry(await metrics()) > first);
    const written = JSON.stringify(service?.log);
    for (const token of google.tokens.all()) expect(written).not.toContain(token.slice(0, 20));
  });
});

describe('the settings', () => {
  it('are restored after a change, with a metric and without a waiting image', async () => {
    google.api.state.permissions.set(POD_ACCOUNT, new Set(ADMIN_PERMISSIONS));
    await start({ endpoint: google.api.grpcEndpoint, repository: { description: 'Mirrored images' } });
    // The service checks the repository by itself, without a request for an image.
    await until('the description is set', () => google.api.methods().includes('UpdateRepository'));
    expect(google.api.methods()).toEqual(['GetRepository', 'UpdateRepository']);
    await until('the drift is reported', async () => (await metrics()).includes('image_swapper_repository_drift'));
    const text = await metrics();
    expect(text).toContain('image_swapper_repository_drift{registry="target default"} 0');
    expect(text).toContain(
      'image_swapper_repository_operations_total{registry="target default",action="policies",outcome="ok"} 1',
    );
  });
});
