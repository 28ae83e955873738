import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ECR_HOST, EcrWorld } from '../../fakes/ecr-world.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { get } from '../../fakes/https-client.js';
import { until } from '../../fakes/until.js';

/**
 * Admissions never wait for AWS. The tests check what Pods get, and when, while AWS's API or registry does not respond.
 */

let world: EcrWorld;
let app: string;

beforeEach(async () => {
  world = await EcrWorld.start();
  loadImage(world.source, 'app', buildImage({ layerSize: 1_000 }), '1.0');
  app = `${world.source.host}/app:1.0`;
});
afterEach(async () => {
  await world.close();
});

/** Far above the budget of 200 ms because the machine may be busy, and below any timeout for AWS (3 s or more). */
const DEADLINE_MS = 2_900;

interface Answer {
  readonly image: string | undefined;
  readonly milliseconds: number;
}

async function answers(count: number, image: (index: number) => string): Promise<Answer[]> {
  const [service] = world.services;
  if (service === undefined) throw new Error('no service');
  const all: Answer[] = [];
  for (let i = 0; i < count; i += 1) {
    const started = performance.now();
    const admitted = await world.admit(service, image(i));
    all.push({ image: admitted, milliseconds: performance.now() - started });
  }
  return all;
}

describe('with an unreachable AWS API', () => {
  beforeEach(() => {
    world.control.fault({ fault: { type: 'hang' } });
  });

  it('the service is ready at once, and Pods keep their images within the budget', async () => {
    const service = await world.serve(world.config());
    expect((await get(`${service.operations}/readyz`)).status).toBe(200);
    const all = await answers(60, (index) => `${world.source.host}/app${index % 20}:1.0`);
    expect(all.map(({ image }) => image)).toEqual(all.map(() => undefined));
    expect(Math.max(...all.map(({ milliseconds }) => milliseconds))).toBeLessThan(DEADLINE_MS);
    // The circuit breaker is open now, so admissions no longer wait for the budget.
    await until('the breaker opens', async () =>
      /lookups_total\{target="default",outcome="breaker-open"\}/.test(await world.metrics(service)),
    );
  });

  it('swaps with imageSwapPolicy always', async () => {
    await world.serve(world.config({}, { imageSwapPolicy: 'always' }));
    const [answer] = await answers(1, () => app);
    expect(answer?.image).toBe(`${ECR_HOST}/${world.repository('app')}:1.0`);
    expect(answer?.milliseconds).toBeLessThan(DEADLINE_MS);
  });

  it('makes the copy when AWS answers again', async () => {
    const service = await world.serve(world.config());
    await world.admit(service, app);
    await sleep(500);
    world.control.clearFaults();
    await until(
      'the image is mirrored and swapped',
      async () => (await world.admit(service, app)) === `${ECR_HOST}/${world.repository('app')}:1.0`,
    );
  });
});

it('keeps images and swaps known ones while the registry is unreachable', async () => {
  const service = await world.serve(world.config());
  await world.mirror(service, app);
  world.proxy.setBlackHole(ECR_HOST, 'request');
  const all = await answers(20, (index) => (index % 2 === 0 ? app : `${world.source.host}/new${index}:1`));
  expect(Math.max(...all.map(({ milliseconds }) => milliseconds))).toBeLessThan(DEADLINE_MS);
  all.forEach(({ image }, index) => {
    expect(image).toBe(index % 2 === 0 ? `${ECR_HOST}/${world.repository('app')}:1.0` : undefined);
  });
});

it('opens the circuit breaker when the proxy is unreachable, so that no request waits', async () => {
  const service = await world.serve(world.config());
  await until('the login', () => world.control.calls('GetAuthorizationToken').length === 1);
  world.proxy.setBlackHole(ECR_HOST, 'connect');
  await answers(5, (index) => `${world.source.host}/new${index}:1`);
  await until('the breaker opens', async () => {
    await world.admit(service, `${world.source.host}/new${Math.random()}:1`.replace('0.', ''));
    return /lookups_total\{target="default",outcome="breaker-open"\}/.test(await world.metrics(service));
  });
  const all = await answers(10, (index) => `${world.source.host}/later${index}:1`);
  expect(all.map(({ image }) => image)).toEqual(all.map(() => undefined));
});

it('keeps images and stays available without AWS credentials', async () => {
  const service = await world.serve(world.config(), { env: { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' } });
  const all = await answers(10, () => app);
  expect(all.map(({ image }) => image)).toEqual(all.map(() => undefined));
  expect((await get(`${service.operations}/readyz`)).status).toBe(200);
  // The login fails later than the first answers on a busy machine.
  await until('lookups fail for that reason', async () => {
    expect(await world.admit(service, app)).toBeUndefined();
    return /lookups_total\{target="default",outcome="unauthorized"\}/.test(await world.metrics(service));
  });
});

describe('dryRun', () => {
  it('decides and changes nothing: no repository, no push', async () => {
    const service = await world.serve(world.config({}, { dryRun: true }));
    expect(await world.admit(service, app)).toBeUndefined();
    await sleep(300);
    expect(world.control.calls('CreateRepository')).toEqual([]);
    expect(world.gate.log.filter(({ action }) => !action.startsWith('BatchGet'))).toEqual([]);
  });
});
