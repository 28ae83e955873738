import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { freePort } from '../../fakes/free-port.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { runProgram } from '../../fakes/program.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import { ScriptedServer } from '../../fakes/scripted-server.js';
import { RunningService } from '../../fakes/service.js';
import { untilWith } from '../../fakes/until.js';
import type { Until } from '../../fakes/until.js';
import { cosignProgram } from '../../tools/signing.js';
import type { ControlPlane } from './control-plane.js';
import { pod, tryOut } from './pods.js';
import type { Admission } from './pods.js';

const run = promisify(execFile);

/** The target of each namespace has one gate. `strict` waits for copies and refuses Pods whose image is not copied. */
export const GATED_NAMESPACES = ['signed', 'scanned', 'down', 'open', 'strict'] as const;
export type GatedNamespace = (typeof GATED_NAMESPACES)[number];

interface Surroundings {
  readonly plane: ControlPlane;
  readonly source: FakeRegistry;
  readonly target: FakeRegistry;
  /** A folder for keys and configurations, which the test deletes. */
  readonly folder: string;
  /** Path of a kubeconfig with the permissions of the service. */
  readonly kubeconfig: string;
}

/** A service with a gate for each namespace, and the API server that calls it as a mutating webhook. */
export class GatedCluster {
  private images = 0;
  readonly until: Until = untilWith(() =>
    this.service.log
      .slice(-20)
      .map((line) => JSON.stringify(line))
      .join('\n'),
  );

  private constructor(
    private readonly around: Surroundings,
    readonly service: RunningService,
    /** Denies every image. */
    readonly scanner: ScriptedServer,
  ) {}

  static async start(around: Surroundings): Promise<GatedCluster> {
    const { plane, source, target, folder, kubeconfig } = around;
    for (const name of GATED_NAMESPACES) {
      await plane.api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    }
    for (const name of ['cosign', 'other']) await cosign(folder, 'generate-key-pair', '--output-key-prefix', name);
    const scanner = await ScriptedServer.start(() => ({
      status: 200,
      body: { verdict: 'deny', reason: 'CVE-2026-1 is critical' },
    }));
    const nothing = `http://127.0.0.1:${await freePort()}/judge`;
    const verify = { keys: [join(folder, 'cosign.pub')] };
    const gates: Readonly<Record<GatedNamespace, object>> = {
      signed: { verify },
      scanned: { webhook: { url: `${scanner.origin}/judge` } },
      down: { webhook: { url: nothing, onError: 'hold' } },
      open: { webhook: { url: nothing, onError: 'allow' } },
      strict: { verify },
    };
    const registry = (host: string, prefix?: string): object => ({
      type: 'oci',
      oci: { registry: host, insecure: true, ...(prefix !== undefined && { prefix }) },
    });
    const config = stringify({
      source: { registries: [registry(source.host)] },
      targets: GATED_NAMESPACES.map((name) => ({
        ...{ name, match: `obj.metadata.namespace == '${name}'`, gate: gates[name] },
        ...registry(target.host, name),
        ...(name === 'strict' && { imageCopyPolicy: 'immediate' }),
      })),
      target: registry(target.host, 'others'),
      imageCopyFailure: 'deny',
      lease: { name: 'image-swapper' },
    });
    const service = await RunningService.start({ config, env: { KUBECONFIG: kubeconfig, POD_NAME: 'service' } });
    await plane.api.apply(webhookOf(service));
    return new GatedCluster(around, service, scanner);
  }

  async stop(): Promise<void> {
    await this.around.plane.api.remove(webhookOf(this.service));
    await Promise.all([this.service.stop('SIGKILL'), this.scanner.close()]);
  }

  /** Puts a new image into the source. @returns its reference and digest */
  image(): { readonly reference: string; readonly digest: string } {
    this.images += 1;
    const built = buildImage({ platforms: ['linux/amd64'], seed: 100 + this.images });
    loadImage(this.around.source, `app-${this.images}`, built, '1');
    return { reference: `${this.around.source.host}/app-${this.images}:1`, digest: built.digest };
  }

  /** Signs the image with cosign, without a transparency log. `cosign` is the key of the gates. */
  async sign(image: ReturnType<GatedCluster['image']>, key: 'cosign' | 'other'): Promise<void> {
    const offline = ['--use-signing-config=false', '--tlog-upload=false', '--yes', '--allow-http-registry'];
    const signed = `${image.reference.slice(0, -':1'.length)}@${image.digest}`;
    await cosign(this.around.folder, 'sign', '--key', `${key}.key`, ...offline, signed);
  }

  /** Returns the name of the image in the target of the namespace. */
  swapped(reference: string, namespace: GatedNamespace): string {
    return `${this.around.target.host}/${namespace}/${reference.replace(':', '_')}`;
  }

  /** Returns the digest that the target has under the image's name. */
  digestInTarget(reference: string, namespace: GatedNamespace): string | undefined {
    const path = this.swapped(reference, namespace).slice(this.around.target.host.length + 1, -':1'.length);
    return this.around.target.manifest(path, '1')?.digest;
  }

  /** Waits until a new Pod gets the image in the target. */
  async untilSwapped(reference: string, namespace: GatedNamespace): Promise<void> {
    await this.until(`${reference} is swapped in ${namespace}`, async () => {
      const admission: Admission = await tryOut(this.around.plane.api, pod(reference, {}, { namespace }));
      return admission.admitted && admission.images['app'] === this.swapped(reference, namespace);
    });
  }

  /** Runs `explain` against the service. */
  async explained(reference: string, namespace: GatedNamespace): Promise<string> {
    const ca = join(this.around.folder, 'service-ca.crt');
    await writeFile(ca, this.service.ca);
    const args = ['explain', reference, '-n', namespace, '--server', this.service.url, '--ca-file', ca];
    return (await runProgram(args, { HOME: this.around.folder })).stdout;
  }

  /** Runs `status` against the service. @returns the line of the image */
  async statusOf(reference: string): Promise<string | undefined> {
    const args = ['status', '--server', this.service.operations];
    const { stdout } = await runProgram(args, { HOME: this.around.folder });
    return stdout.split('\n').find((line) => line.includes(reference));
  }
}

async function cosign(folder: string, ...args: readonly string[]): Promise<void> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: folder, COSIGN_PASSWORD: '' };
  await run(await cosignProgram(), [...args], { cwd: folder, env });
}

function webhookOf({ url, ca }: RunningService) {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: 'gated' },
    webhooks: [
      {
        name: 'gated.example.com',
        admissionReviewVersions: ['v1'],
        sideEffects: 'NoneOnDryRun',
        failurePolicy: 'Fail',
        timeoutSeconds: 30,
        clientConfig: { url: `${url}/webhook`, caBundle: Buffer.from(ca).toString('base64') },
        namespaceSelector: {
          matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values: GATED_NAMESPACES }],
        },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
      },
    ],
  };
}
