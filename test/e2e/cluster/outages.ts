import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { post } from '../../fakes/https-client.js';
import { FakeRegistry } from '../../fakes/registry.js';
import type { ControlPlane } from './control-plane.js';
import { createPods, images } from './crowd.js';
import type { Image } from './crowd.js';
import { Front } from './front.js';
import { Puller } from './puller.js';
import { Replicas } from './replicas.js';

export interface Outages {
  /** Seconds that each lasts. */
  readonly seconds: number;
  /** New images during each. */
  readonly images: number;
  /** Seconds for everything to arrive when all is well again. */
  readonly patience: number;
}

/** Milliseconds between two admissions at each replica. */
const EVERY = 100;
/** Lines of warnings for each replica and outage that somebody can still read. */
const READABLE = 20;

/**
 * The source refuses connections, then the target answers 429, then the replicas cannot reach the API server. Pods are
 * admitted all the while, in the cluster and at each replica; nobody tells the service that it is over.
 */
export async function sufferOutages(plane: ControlPlane, options: Outages): Promise<string> {
  const [source, target] = [await FakeRegistry.start(), await FakeRegistry.start()];
  const front = await Front.start(portOf(source.host));
  const host = `127.0.0.1:${front.port}`;
  const replicas = await Replicas.start(plane, 2, { source: host, target: target.host });
  const batches = ['source-down', 'target-busy', 'no-api'].map((name) =>
    images(source, host, name, options.images, { layerSize: 2_000 }),
  );
  const all = batches.flat();
  const puller = new Puller(
    target.host,
    all.map(({ repository }) => repository),
  );
  const admissions = new Admissions(replicas, all);
  const started = performance.now();
  const seconds = (): string => ((performance.now() - started) / 1_000).toFixed(0);
  const arrived: string[] = [];
  const outage = async (batch: readonly Image[] | undefined): Promise<void> => {
    await createPods(
      plane.api,
      (batch ?? []).map(({ reference }) => reference),
    );
    await sleep(options.seconds * 1_000);
    arrived.push(`${seconds()} s: ${puller.pulled.size}`);
  };
  try {
    puller.start();
    admissions.start();

    await front.goDown();
    await outage(batches[0]);
    expect(puller.pulled.size, replicas.lastWords()).toBe(0);
    await front.pointTo(portOf(source.host));

    target.fault({ action: { type: 'status', status: 429 } });
    const before = puller.pulled.size;
    await outage(batches[1]);
    expect(puller.pulled.size).toBeLessThanOrEqual(before + options.images);
    target.clearFaults();

    const port = replicas.apiFront;
    const api = Number(new URL(plane.api.address).port);
    await port.goDown();
    await outage(batches[2]);
    await port.pointTo(api);

    await puller.complete(options.patience, () => replicas.lastWords());
    arrived.push(`${seconds()} s: ${puller.pulled.size}`);
    await admissions.stop();
    expect(puller.broken).toEqual([]);
    expect(all.map(({ repository }) => puller.pulled.get(repository))).toEqual(all.map(({ digest }) => digest));
    expect(admissions.wrong).toEqual([]);
    expect(admissions.answered).toBeGreaterThan((options.seconds * 3 * 1_000) / EVERY);
    const slow = await overBudget(replicas);
    expect(slow).toBe(0);
    const warnings = replicas.warnings();
    expect(warnings.length, warnings.join('\n')).toBeLessThan(2 * 3 * READABLE);
    return `${admissions.answered} admissions; images: ${arrived.join(', ')}; ${warnings.length} warnings`;
  } finally {
    await admissions.stop();
    await puller.stop();
    await replicas.stop();
    await front.stop();
    await Promise.all([source.close(), target.close()]);
  }
}

/** Admissions that the service itself says took longer than half a second: the budget is 200 ms, and the machine busy. */
export async function overBudget(replicas: Replicas): Promise<number> {
  const all = await replicas.sum('image_swapper_resolve_duration_seconds_count', 'route="webhook"');
  const within = await replicas.sum('image_swapper_resolve_duration_seconds_bucket', 'route="webhook"', 'le="0.5"');
  return all - within;
}

/** Asks every replica about Pods, one after the other, as the API server does. */
class Admissions {
  answered = 0;
  readonly wrong: string[] = [];
  private stopped = false;
  private running: Promise<unknown> | undefined;

  constructor(
    private readonly replicas: Replicas,
    private readonly images: readonly Image[],
  ) {}

  start(): void {
    this.running = Promise.all(this.replicas.running.map(({ service }) => this.ask(service.url)));
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  private async ask(url: string): Promise<void> {
    for (let count = 0; !this.stopped; count += 1) {
      const image = this.images[count % this.images.length]?.reference ?? '';
      const object = { metadata: { name: 'x' }, spec: { containers: [{ name: 'app', image }] } };
      const request = { uid: `u-${count}`, operation: 'CREATE', namespace: 'team-a', object };
      const review = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request };
      try {
        const reply = await post(`${url}/webhook`, JSON.stringify(review));
        const { response } = reply.json() as { readonly response?: { readonly allowed?: boolean } };
        if (reply.status === 200 && response?.allowed === true) this.answered += 1;
        else this.wrong.push(`${reply.status} ${reply.text.slice(0, 200)}`);
      } catch (error) {
        this.wrong.push(String(error));
      }
      await sleep(EVERY);
    }
  }
}

function portOf(host: string): number {
  return Number(host.split(':')[1]);
}
