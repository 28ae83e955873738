import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { makeCertificates } from '../../fakes/certificates.js';
import { until } from '../../fakes/until.js';
import type { ApiObject, KubeApi } from './kube-api.js';
import { create, NAMESPACE, pod, tryOut } from './pods.js';
import type { Admission, PodObject } from './pods.js';

/** A webhook of another owner that runs after ours and adds a container, as service meshes do. */
export class SidecarWebhook {
  private constructor(
    private readonly server: Server,
    /** The object to apply. Its name sorts it after all other webhooks. */
    readonly configuration: ApiObject,
  ) {}

  static async start(image: string): Promise<SidecarWebhook> {
    const tls = await makeCertificates({ hosts: ['127.0.0.1'] });
    const server = createServer(tls, (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => response.end(JSON.stringify(inject(Buffer.concat(chunks).toString('utf8'), image))));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const configuration: ApiObject = {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { name: 'zzz-sidecar' },
      webhooks: [
        {
          name: 'sidecar.example.com',
          admissionReviewVersions: ['v1'],
          sideEffects: 'None',
          failurePolicy: 'Fail',
          clientConfig: { url: `https://127.0.0.1:${port}/`, caBundle: Buffer.from(tls.ca).toString('base64') },
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': NAMESPACE } },
          objectSelector: { matchLabels: { sidecar: 'wanted' } },
          rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
        },
      ],
    };
    return new SidecarWebhook(server, configuration);
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
      this.server.closeAllConnections();
    });
  }
}

/** Creates a Pod of the image, to which a webhook after ours adds a sidecar of the same image. */
export async function createWithSidecar(api: KubeApi, image: string): Promise<Admission> {
  const webhook = await SidecarWebhook.start(image);
  const made = (): PodObject => pod(image, {}, { labels: { sidecar: 'wanted' } });
  await api.apply(webhook.configuration);
  try {
    await until('the sidecar is added', async () => {
      const admission = await tryOut(api, made());
      return admission.admitted && admission.images['sidecar'] !== undefined;
    });
    return await create(api, made());
  } finally {
    await api.remove(webhook.configuration);
    await webhook.stop();
  }
}

function inject(body: string, image: string): unknown {
  const { request } = JSON.parse(body) as { readonly request: { readonly uid: string; readonly object: PodObject } };
  const there = request.object.spec.containers.some(({ name }) => name === 'sidecar');
  const patch = [{ op: 'add', path: '/spec/containers/-', value: { name: 'sidecar', image } }];
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: {
      uid: request.uid,
      allowed: true,
      ...(!there && { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }),
    },
  };
}
