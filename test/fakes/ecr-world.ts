import { stringify } from 'yaml';
import { EcrControl } from './ecr-control.js';
import type { EcrControlOptions } from './ecr-control.js';
import { controlView } from './ecr-control-view.js';
import { EcrGate } from './ecr-gate.js';
import type { EcrGateOptions } from './ecr-gate.js';
import { get, post } from './https-client.js';
import { FakeRegistry } from './registry.js';
import { RunningService } from './service.js';
import type { ServiceOptions } from './service.js';
import { TlsProxy } from './tls-proxy.js';
import { until } from './until.js';

export const ACCOUNT = '123456789012';
export const REGION = 'eu-central-1';
export const ECR_HOST = `${ACCOUNT}.dkr.ecr.${REGION}.amazonaws.com`;

/** A repository policy as JSON. Each `sid` gives a different policy. */
export function accessPolicy(sid = 'pull'): string {
  return JSON.stringify({
    Version: '2008-10-17',
    Statement: [{ Sid: sid, Effect: 'Allow', Principal: '*', Action: ['ecr:BatchGetImage'] }],
  });
}

export const lifecyclePolicy = JSON.stringify({
  rules: [
    {
      rulePriority: 1,
      selection: { tagStatus: 'untagged', countType: 'sinceImagePushed', countUnit: 'days', countNumber: 30 },
      action: { type: 'expire' },
    },
  ],
});

export interface EcrWorldOptions {
  readonly control?: EcrControlOptions;
  readonly gate?: Partial<EcrGateOptions>;
  /** Additional hosts of the proxy. */
  readonly hosts?: Readonly<Record<string, string | undefined>>;
}

/** A row of `GET /v1/mirrors`. */
export interface MirrorRow {
  readonly source: string;
  readonly state: string;
  readonly attempts: number;
  readonly failure?: { readonly reason: string; readonly message: string };
}

/** A source registry, and ECR: the control plane, and the registry behind the host name that ECR images have. */
export class EcrWorld {
  readonly services: RunningService[] = [];

  private constructor(
    readonly source: FakeRegistry,
    readonly target: FakeRegistry,
    readonly control: EcrControl,
    readonly proxy: TlsProxy,
    readonly gate: EcrGate,
  ) {}

  static async start(options: EcrWorldOptions = {}): Promise<EcrWorld> {
    const [source, target, control] = await Promise.all([
      FakeRegistry.start(),
      FakeRegistry.start(),
      EcrControl.start(options.control),
    ]);
    const proxy = await TlsProxy.start({ hosts: { [ECR_HOST]: target.origin, ...options.hosts } });
    const gate = new EcrGate({
      host: ECR_HOST,
      control: controlView(control),
      backend: target.origin,
      ...options.gate,
    });
    proxy.setHook(ECR_HOST, gate.hook);
    return new EcrWorld(source, target, control, proxy, gate);
  }

  /** The environment of a process in this world. Without keys, the process has no AWS login. */
  get env(): Readonly<Record<string, string>> {
    return { ...this.control.env, ...this.proxy.env };
  }

  /** A configuration with the target in ECR; `aws` adds keys to `target.aws`. */
  config(aws: Record<string, unknown> = {}, more: Record<string, unknown> = {}): string {
    return stringify({
      target: { type: 'aws', aws: { accountId: ACCOUNT, region: REGION, prefix: 'mirror', ...aws } },
      source: { registries: [{ type: 'oci', oci: { registry: this.source.host, insecure: true } }] },
      ...more,
    });
  }

  async serve(config: string, options: Partial<ServiceOptions> = {}): Promise<RunningService> {
    const env = { ...this.env, ...this.control.userEnv, ...options.env };
    const service = await RunningService.start({ plain: true, ...options, config, env });
    this.services.push(service);
    return service;
  }

  /** Sends a request as a policy does. Returns the container's new image, or undefined if the image stays. */
  async admit(service: RunningService, image: string, container: object = {}): Promise<string | undefined> {
    const pod = { metadata: { name: 'web' }, spec: { containers: [{ name: 'app', image, ...container }] } };
    const request = { uid: 'u', namespace: 'team-a', operation: 'CREATE', object: pod };
    const reply = await post(`${service.url}/v1/kyverno`, JSON.stringify({ request }));
    if (reply.status !== 200) throw new Error(`HTTP ${reply.status}: ${reply.text}`);
    return (reply.json() as { images: { containers?: { app?: string } } }).images.containers?.app;
  }

  /** Admits an image and waits until its copy has ended or is waiting for a retry. */
  async mirror(service: RunningService, image: string, container: object = {}): Promise<MirrorRow> {
    await this.admit(service, image, container);
    return this.settled(service, image);
  }

  async settled(service: RunningService, image: string): Promise<MirrorRow> {
    let row: MirrorRow | undefined;
    await until(`the copy of ${image} ends`, async () => {
      row = (await this.mirrors(service)).find(({ source }) => source === image);
      return row !== undefined && row.state !== 'queued' && row.state !== 'running';
    });
    if (row === undefined) throw new Error('no row');
    return row;
  }

  async mirrors(service: RunningService): Promise<MirrorRow[]> {
    return ((await get(`${service.operations}/v1/mirrors`)).json() as { mirrors: MirrorRow[] }).mirrors;
  }

  async metrics(service: RunningService): Promise<string> {
    return (await get(`${service.operations}/metrics`)).text;
  }

  /** The target repository of a source image. */
  repository(name: string): string {
    return `mirror/${this.source.host.replace(':', '_')}/${name}`;
  }

  /** The actions of the control-plane calls so far. */
  actions(): string[] {
    return this.control.log.map(({ action }) => action);
  }

  async close(): Promise<void> {
    const running = this.services.filter(({ process }) => process.exitCode === null && process.signalCode === null);
    await Promise.all(running.map((service) => service.stop('SIGKILL')));
    await Promise.all([this.source.close(), this.target.close(), this.control.close(), this.proxy.close()]);
  }
}
