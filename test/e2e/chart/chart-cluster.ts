import { makeCertificates } from '../../fakes/certificates.js';
import { Helm } from '../../tools/helm.js';
import type { HelmMajor } from '../../tools/helm.js';
import { ControlPlane } from '../cluster/control-plane.js';
import { Discovery } from '../cluster/discovery.js';
import { expectOk } from '../cluster/kube-api.js';
import { startKyverno } from '../cluster/kyverno-controller.js';
import { loopbackAddress, PodProcess } from '../cluster/pod-process.js';
import type { PodTemplateSpec } from '../cluster/pod-process.js';
import { NAMESPACE as TEAM, pod, tryOut } from '../cluster/pods.js';
import type { Program } from '../cluster/program.js';
import { until } from '../../fakes/until.js';

/** The namespace of the release. */
export const NAMESPACE = 'image-swapper';

/** A new user's cluster, with Kyverno and without image-swapper. */
export class ChartCluster {
  private constructor(
    readonly plane: ControlPlane,
    readonly helm: Helm,
    readonly discovery: Discovery,
    /**
     * The Pod's address. Kyverno resolves the Service's name to it. The Service's ports are the container's by default.
     */
    readonly address: string,
    private readonly kyverno: Program,
  ) {}

  static async start(): Promise<ChartCluster> {
    const plane = await ControlPlane.start();
    await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: TEAM } });
    const { ca } = await makeCertificates({ hosts: ['nobody.example'] });
    const address = loopbackAddress();
    const hosts = { [`image-swapper.${NAMESPACE}.svc`]: address };
    const kyverno = await startKyverno(plane, { trusted: ca, hosts });
    const helm = await Helm.create({ KUBECONFIG: plane.kubeconfig });
    return new ChartCluster(plane, helm, new Discovery(plane.api), address, kyverno);
  }

  /** Returns Helm in this major version. Both versions have the same releases. */
  async helmOf(major: HelmMajor): Promise<Helm> {
    return Helm.create({ KUBECONFIG: this.plane.kubeconfig }, major);
  }

  async stop(): Promise<void> {
    await this.kyverno.stop();
    await this.plane.stop();
  }

  /** Starts the container of the Deployment in the API server. @param around variables of the node and the image */
  async container(around: Readonly<Record<string, string>> = {}): Promise<PodProcess> {
    const deployment = await this.object('apps/v1', 'Deployment', 'image-swapper');
    const { template } = deployment['spec'] as { readonly template: { readonly spec: PodTemplateSpec } };
    const process = await PodProcess.start(this.plane, NAMESPACE, template.spec, this.address, around);
    try {
      await process.waitUntilReady();
      return process;
    } catch (error) {
      await process.stop();
      throw error;
    }
  }

  async object(apiVersion: string, kind: string, name: string): Promise<Record<string, unknown>> {
    const reply = await this.discovery.get({ apiVersion, kind, metadata: { name, namespace: NAMESPACE } });
    return expectOk(reply, `${kind} ${name}`).body as Record<string, unknown>;
  }

  async has(apiVersion: string, kind: string, name: string): Promise<boolean> {
    return (await this.discovery.get({ apiVersion, kind, metadata: { name, namespace: NAMESPACE } })).status === 200;
  }

  /**
   * Acts like the kubelet and the Job controller: runs the Job's Pod and reports its completion.
   *
   * @returns the exit code
   */
  async runJob(name: string): Promise<number | null> {
    const { template } = (await this.newJob(name))['spec'] as { readonly template: { readonly spec: PodTemplateSpec } };
    const startTime = now();
    const process = await PodProcess.start(this.plane, NAMESPACE, template.spec);
    const code = await process.end();
    if (code !== 0) throw new Error(`the Job ended with ${code}: ${process.output}`);
    const conditions = [condition('SuccessCriteriaMet'), condition('Complete')];
    await this.reportJob(name, { startTime, completionTime: now(), succeeded: 1, conditions });
    return code;
  }

  /** Sets the status that the Job controller sets when the Pod's image could not be pulled. */
  async failJob(name: string): Promise<void> {
    await this.newJob(name);
    const conditions = ['FailureTarget', 'Failed'].map((type) => ({
      ...condition(type),
      reason: 'DeadlineExceeded',
      message: 'Job was active longer than specified deadline',
    }));
    await this.reportJob(name, { startTime: now(), conditions });
  }

  /** Waits for a Job that has not ended: a hook's previous Job exists until Helm creates the next one. */
  private async newJob(name: string): Promise<Record<string, unknown>> {
    let job: Record<string, unknown> = {};
    await until(`there is a new Job ${name}`, async () => {
      if (!(await this.has('batch/v1', 'Job', name))) return false;
      job = await this.object('batch/v1', 'Job', name);
      return (job['status'] as { readonly conditions?: unknown } | undefined)?.conditions === undefined;
    });
    return job;
  }

  /** Returns the names of the Jobs in the release's namespace. */
  async jobs(): Promise<string[]> {
    const reply = await this.plane.api.send('GET', `/apis/batch/v1/namespaces/${NAMESPACE}/jobs`);
    const { items } = expectOk(reply, 'Jobs').body as { readonly items: readonly { metadata: { name: string } }[] };
    return items.map(({ metadata }) => metadata.name);
  }

  private async reportJob(name: string, status: object): Promise<void> {
    const path = `/apis/batch/v1/namespaces/${NAMESPACE}/jobs/${name}/status`;
    const reply = await this.plane.api.send('PATCH', path, { status }, 'application/merge-patch+json');
    expectOk(reply, `the status of the Job ${name}`);
  }

  /** Returns the deleted policies (with their failure policy) and Deployments, in the order of deletion. */
  async deletions(): Promise<string[]> {
    const metadata = { name: '', namespace: NAMESPACE };
    const seen = [
      { apiVersion: 'policies.kyverno.io/v1', kind: 'MutatingPolicy', metadata },
      { apiVersion: 'apps/v1', kind: 'Deployment', metadata },
    ].map(async (object) => {
      const path = await this.discovery.path(object, 'collection');
      // Every event contains the number of its change.
      const { body } = await this.plane.api.send('GET', `${path}?watch=true&timeoutSeconds=10&resourceVersion=0`);
      return eventsOf(body).filter(({ type }) => type === 'DELETED');
    });
    const events = (await Promise.all(seen)).flat().map(({ object }) => object);
    events.sort((one, other) => Number(one.metadata.resourceVersion) - Number(other.metadata.resourceVersion));
    return events.map(({ kind, spec }) => [kind, spec.failurePolicy].join(' ').trim());
  }

  /** Returns the image that a new Pod with this image gets. */
  async admitted(image: string): Promise<string> {
    const admission = await tryOut(this.plane.api, pod(image));
    return admission.admitted ? (admission.images['app'] ?? '') : `refused: ${admission.message}`;
  }
}

const condition = (type: string) => ({ type, status: 'True', lastProbeTime: now(), lastTransitionTime: now() });

function now(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}

interface WatchEvent {
  readonly type: string;
  readonly object: {
    readonly kind: string;
    readonly metadata: { readonly resourceVersion: string };
    readonly spec: { readonly failurePolicy?: string };
  };
}

/** Parses the lines of a watch from the body of a complete response. */
function eventsOf(body: unknown): WatchEvent[] {
  const one = body as { readonly message?: string; readonly type?: string };
  if (one.type !== undefined) return [body as WatchEvent];
  return (one.message ?? '').split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as WatchEvent]));
}
