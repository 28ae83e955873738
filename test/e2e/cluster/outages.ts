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
  /** Duration of each outage in seconds. */
  readonly seconds: number;
  /** New images during each outage. */
  readonly images: number;
  /** Time limit in seconds for everything to arrive after recovery. */
  readonly patience: number;
}

/** Milliseconds between two admissions for each replica. */
const EVERY = 100;
/** Maximum warning lines per replica and outage that remain readable. */
const READABLE = 20;

/**
 * The source refuses connections, then the target answers 429, then the replicas cannot reach the API server. Pods are
 * admitted during all outages, in the cluster and by each replica. The service is not notified of the recovery.
 */
export async function runOutages(plane: ControlPlane, options: Outages): Promise<string> {
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
  const admissions = new Admissions(replicas);
  const recoveries: string[] = [];
  const outage = async (batch: readonly Image[] = []): Promise<void> => {
    const references = batch.map(({ reference }) => reference);
    if (references.length > 0) admissions.images = references;
    await createPods(plane.api, references);
    await sleep(options.seconds * 1_000);
  };
  /** Waits until all images so far have arrived. Nothing announces the recovery to the service. */
  const recovery = async (batches: number): Promise<void> => {
    const count = batches * options.images;
    const over = performance.now();
    while (puller.pulled.size < count && performance.now() - over < options.patience * 1_000) await sleep(50);
    expect(puller.pulled.size, replicas.lastLogLines()).toBe(count);
    recoveries.push(`${((performance.now() - over) / 1_000).toFixed(1)} s`);
  };
  try {
    puller.start();
    admissions.images = (batches[0] ?? []).map(({ reference }) => reference);
    admissions.start();

    await front.disconnect();
    await outage(batches[0]);
    expect(puller.pulled.size).toBe(0);
    await front.setBackendPort(portOf(source.host));
    await recovery(1);

    target.fault({ action: { type: 'status', status: 429 } });
    await outage(batches[1]);
    expect(puller.pulled.size).toBe(options.images);
    target.clearFaults();
    await recovery(2);

    await replicas.apiFront.disconnect();
    await outage();
    // No replica gets requests for these images. The leader finds them when it can read the cluster again.
    await createPods(
      plane.api,
      (batches[2] ?? []).map(({ reference }) => reference),
    );
    expect(puller.pulled.size).toBe(2 * options.images);
    await replicas.apiFront.setBackendPort(Number(new URL(plane.api.address).port));
    await recovery(3);

    await admissions.stop();
    expect(puller.broken).toEqual([]);
    expect(all.map(({ repository }) => puller.pulled.get(repository))).toEqual(all.map(({ digest }) => digest));
    expect(admissions.problems).toEqual([]);
    expect(admissions.answered).toBeGreaterThan((options.seconds * 3 * 1_000) / EVERY);
    const slow = await overBudget(replicas);
    const warnings = replicas.warnings();
    expect(warnings.length, warnings.join('\n')).toBeLessThan(2 * 3 * READABLE);
    const times = recoveries.join(', ');
    return `${admissions.answered} admissions, ${slow} above half a second; all images ${times} after each outage; ${warnings.length} warnings`;
  } finally {
    await admissions.stop();
    await puller.stop();
    await replicas.stop();
    await front.stop();
    await Promise.all([source.close(), target.close()]);
  }
}

/**
 * Returns the number of admissions that took longer than half a second, according to the service. The budget is 200 ms,
 * but the machine is busy.
 */
export async function overBudget(replicas: Replicas): Promise<number> {
  const all = await replicas.sum('image_swapper_resolve_duration_seconds_count', 'route="webhook"');
  const within = await replicas.sum('image_swapper_resolve_duration_seconds_bucket', 'route="webhook"', 'le="0.5"');
  return all - within;
}

/** Sends Pods to every replica, one after the other, as the API server does. */
class Admissions {
  /** The images that the Pods use. */
  images: readonly string[] = [];
  answered = 0;
  readonly problems: string[] = [];
  private stopped = false;
  private running: Promise<unknown> | undefined;

  constructor(private readonly replicas: Replicas) {}

  start(): void {
    this.running = Promise.all(this.replicas.running.map(({ service }) => this.ask(service.url)));
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  private async ask(url: string): Promise<void> {
    for (let count = 0; !this.stopped; count += 1) {
      const image = this.images[count % this.images.length] ?? '';
      const object = { metadata: { name: 'x' }, spec: { containers: [{ name: 'app', image }] } };
      const request = { uid: `u-${count}`, operation: 'CREATE', namespace: 'team-a', object };
      const review = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request };
      try {
        const reply = await post(`${url}/webhook`, JSON.stringify(review));
        const { response } = reply.json() as { readonly response?: { readonly allowed?: boolean } };
        if (reply.status === 200 && response?.allowed === true) this.answered += 1;
        else this.problems.push(`${reply.status} ${reply.text.slice(0, 200)}`);
      } catch (error) {
        this.problems.push(String(error));
      }
      await sleep(EVERY);
    }
  }
}

function portOf(host: string): number {
  return Number(host.split(':')[1]);
}
