import { stringify } from 'yaml';
import { get, post } from '../../fakes/https-client.js';
import { FakeRegistry } from '../../fakes/registry.js';
import type { FakeRegistryOptions } from '../../fakes/registry.js';
import { RunningService } from '../../fakes/service.js';
import type { ServiceOptions } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';

/** A row of /v1/mirrors. */
export interface MirrorRow {
  readonly source: string;
  readonly target: string;
  readonly reference: string;
  readonly state: string;
  readonly failure?: { readonly reason: string; readonly message: string };
}

/** The input of {@link World.admit}: images by container name, and the rest of the Pod. */
export interface PodAsked {
  readonly namespace?: string;
  readonly labels?: Record<string, string>;
  readonly dryRun?: boolean;
  readonly container?: object;
  readonly spec?: object;
}

/** Registries and built services of one test. `close` closes all of them. */
export class World {
  readonly #registries: FakeRegistry[] = [];
  readonly #services: RunningService[] = [];

  async registry(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
    const registry = await FakeRegistry.start(options);
    this.#registries.push(registry);
    return registry;
  }

  async serve(config: Record<string, unknown>, options: Partial<ServiceOptions> = {}): Promise<RunningService> {
    const service = await RunningService.start({ config: stringify({ ...LONGEST_BUDGET, ...config }), ...options });
    this.#services.push(service);
    return service;
  }

  async close(): Promise<void> {
    const running = this.#services.filter(
      ({ process: { exitCode, signalCode } }) => exitCode === null && signalCode === null,
    );
    await Promise.all(running.map((service) => service.stop('SIGKILL')));
    await Promise.all(this.#registries.map((registry) => registry.close()));
  }
}

/**
 * The maximum budget, because one HEAD on loopback may be slow on a busy machine. Tests of the budget set their own.
 */
const LONGEST_BUDGET = { answerBudget: '700ms' };

/** Returns the configuration with `type: oci` for a registry on loopback. */
export function plainRegistry({ host }: FakeRegistry, more: Record<string, unknown> = {}): object {
  return { type: 'oci', oci: { registry: host, insecure: true, ...more } };
}

/** Returns the path of a loopback source in a target. The colon before the port becomes an underscore. */
export function pathOf({ host }: FakeRegistry, repository: string): string {
  return `${host.replace(':', '_')}/${repository}`;
}

export function admissionRequest(images: Readonly<Record<string, string>>, asked: PodAsked = {}): object {
  const { namespace = 'team-a', labels = {}, dryRun = false, container = {}, spec = {} } = asked;
  const containers = Object.entries(images).map(([name, image]) => ({ name, image, ...container }));
  const object = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', labels }, spec: { containers, ...spec } };
  return { uid: 'u', namespace, operation: 'CREATE', dryRun, object };
}

/**
 * The secret of callers for services with {@link KNOWN_CALLER}. {@link admit} sends it, so that the service uses the
 * pull secrets of the Pods.
 */
const CALLER_SECRET = 'caller-word-caller-word-caller-word';
export const KNOWN_CALLER = { auth: { kyverno: { secret: CALLER_SECRET } } };

/** Returns the images of a Pod with these containers after admission. */
export async function admit(
  service: RunningService,
  images: Readonly<Record<string, string>>,
  asked: PodAsked = {},
): Promise<Record<string, string>> {
  const body = JSON.stringify({ request: admissionRequest(images, asked) });
  const reply = await post(`${service.url}/v1/kyverno`, body, {
    ca: service.ca,
    headers: { 'Image-Swapper-Secret': CALLER_SECRET },
  });
  if (reply.status !== 200) throw new Error(`${reply.status}: ${reply.text}`);
  const { images: changed } = reply.json() as { images: { containers?: Record<string, string> } };
  return { ...images, ...changed.containers };
}

export async function mirrors(service: RunningService): Promise<MirrorRow[]> {
  return ((await get(`${service.operations}/v1/mirrors`)).json() as { mirrors: MirrorRow[] }).mirrors;
}

/** Waits until all requested copies have succeeded or failed. */
export async function settled(service: RunningService): Promise<void> {
  await until('the mirrors settle', async () => {
    const all = await mirrors(service);
    return all.length > 0 && all.every(({ state }) => state !== 'queued' && state !== 'running');
  });
}

/**
 * Returns the value of one sample: `metric(service, 'image_swapper_lookups_total', { target: 'eu', outcome: 'absent'
 * })`.
 */
export async function metric(
  service: RunningService,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<number> {
  const { text } = await get(`${service.operations}/metrics`);
  const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
  const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  const found = lines.filter((line) => wanted.every((label) => line.includes(label)));
  return found.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
