import { servedHash } from '../../policies/config-hash.js';
import type { Engine } from '../engine.js';
import { renderMutatingWebhook, WEBHOOK_DEFAULTS } from './mutating-webhook.js';

/** The API server itself, with a `MutatingWebhookConfiguration`: Kubernetes 1.28 or newer, without a policy engine. */
export const webhook: Engine = {
  name: 'webhook',
  title: 'the API server',
  summary: 'the API server calls the service directly, as with k8s-image-swapper',
  namespaces: WEBHOOK_DEFAULTS.namespaces,
  transport: {
    route: 'webhook',
    credentials: ['path', 'certificate'],
    caller: 'api-server',
    plainHttp: 'refused',
    timeoutSeconds: { default: WEBHOOK_DEFAULTS.timeoutSeconds, max: 30 },
    ca: {
      place: 'policy',
      configMap: false,
      required: false,
      injected: true,
      carrier: 'webhook',
      untrusted:
        "Unless the API server's trust store has your CA, every call fails and no image is swapped. Set caBundle " +
        '(ca.crt of the ConfigMap image-swapper-ca if the service creates its own certificate).',
    },
  },
  decides: { sees: 'pod', startsCopies: true, denies: 'always', addsToPods: true },
  kinds: [
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      plural: 'mutatingwebhookconfigurations',
      names: (policyName) => [policyName],
      caHolder: {
        names: (policyName) => [policyName],
        calls: (object) => {
          const { webhooks = [] } = object as {
            readonly webhooks?: readonly { readonly clientConfig: ClientConfig }[];
          };
          return webhooks.map(({ clientConfig: { url = '', service, caBundle } }, index) => ({
            path: `/webhooks/${index}/clientConfig/caBundle`,
            // The name for which the API server verifies a Service's certificate.
            address: service === undefined ? url : `${service.name}.${service.namespace}.svc`,
            port: service?.port,
            caBundle,
          }));
        },
      },
    },
  ],
  ownOptions: ['reinvocationPolicy'],
  chart: { webhookValues: true },
  render: ({ call: { url, caBundle, credentials: proof }, own = {}, ...options }) => {
    const { reinvocationPolicy } = own;
    return [
      renderMutatingWebhook({
        ...{ ...options, url },
        ...(caBundle !== undefined && { caBundle }),
        ...(proof?.path !== undefined && { callerPath: proof.path }),
        ...(reinvocationPolicy !== undefined && { reinvocationPolicy }),
      }),
    ];
  },
  configHash: servedHash,
  helmValues: () => ({ notes: ['The API server has no chart and needs no values.'], values: {} }),
};

interface ClientConfig {
  readonly url?: string;
  readonly service?: { readonly name: string; readonly namespace: string; readonly port?: number };
  readonly caBundle?: string;
}
