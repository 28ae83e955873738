import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeCertificates } from '../../fakes/certificates.js';
import { freePort } from '../../fakes/free-port.js';
import { goModule, goTool } from '../../tools/tool.js';
import type { ControlPlane } from './control-plane.js';
import { installCrds } from './crds.js';
import type { ApiObject } from './kube-api.js';
import { Program } from './program.js';

export const GATEKEEPER_MODULE = 'github.com/open-policy-agent/gatekeeper/v3';
const NAMESPACE = 'gatekeeper-system';

/** The values of Gatekeeper's chart that shape its mutating webhook. */
export interface GatekeeperWebhookValues {
  readonly mutatingWebhookTimeoutSeconds: number;
  readonly mutatingWebhookFailurePolicy: 'Ignore' | 'Fail';
  readonly mutatingWebhookReinvocationPolicy: 'Never' | 'IfNeeded';
}

export interface GatekeeperProcess {
  readonly program: Program;
  /** The folder with Gatekeeper's `tls.crt`, `tls.key` and `ca.crt`, as in its Secret. */
  readonly certificates: string;
  /** The CA certificate at the start, PEM. */
  readonly ca: string;
  /** The port of the webhook on 127.0.0.1. */
  readonly port: number;
  /** Makes the API server trust another CA for the webhook's certificate. */
  trust(pem: string): Promise<void>;
}

export async function gatekeeperManager(): Promise<string> {
  return goTool({ module: 'gatekeeper', package: GATEKEEPER_MODULE, command: 'gatekeeper' });
}

/** Starts Gatekeeper's manager beside the API server, with the webhook that its chart renders from these values. */
export async function startGatekeeper(
  plane: ControlPlane,
  values: GatekeeperWebhookValues,
): Promise<GatekeeperProcess> {
  const command = await gatekeeperManager();
  const { api, folder } = plane;
  await installCrds(api, [join(await goModule('gatekeeper', GATEKEEPER_MODULE), 'charts', 'gatekeeper', 'crds')]);
  await api.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  const { ca, cert, key } = await makeCertificates({ hosts: ['127.0.0.1'] });
  const certificates = join(folder, 'gatekeeper-certs');
  await mkdir(certificates);
  await Promise.all([
    writeFile(join(certificates, 'tls.crt'), cert),
    writeFile(join(certificates, 'tls.key'), key),
    writeFile(join(certificates, 'ca.crt'), ca),
  ]);
  const [port, health, metrics] = [await freePort(), await freePort(), await freePort()];
  const manager = Program.start('gatekeeper', {
    command,
    cwd: folder,
    args: [
      `--kubeconfig=${plane.kubeconfig}`,
      '--debug-use-fake-pod',
      '--operation=mutation-webhook',
      '--operation=mutation-status',
      '--disable-cert-rotation',
      `--cert-dir=${certificates}`,
      '--host=127.0.0.1',
      `--port=${port}`,
      `--health-addr=127.0.0.1:${health}`,
      `--prometheus-port=${metrics}`,
      `--exempt-namespace=${NAMESPACE}`,
      '--shutdown-delay=0',
    ],
    env: { POD_NAMESPACE: NAMESPACE },
  });
  await manager.waitFor('being ready', 120, async () =>
    fetch(`http://127.0.0.1:${health}/readyz`).then(
      ({ status }) => status === 200,
      () => false,
    ),
  );
  const trust = async (pem: string): Promise<void> => {
    await api.apply(webhook(`https://127.0.0.1:${port}/v1/mutate`, pem, values));
  };
  await trust(ca);
  return { program: manager, certificates, ca, port, trust };
}

/** Returns the objects that Gatekeeper's chart renders, with an address instead of a Service. */
function webhook(url: string, ca: string, values: GatekeeperWebhookValues): ApiObject {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: 'gatekeeper-mutating-webhook-configuration' },
    webhooks: [
      {
        name: 'mutation.gatekeeper.sh',
        admissionReviewVersions: ['v1', 'v1beta1'],
        clientConfig: { url, caBundle: Buffer.from(ca).toString('base64') },
        failurePolicy: values.mutatingWebhookFailurePolicy,
        matchPolicy: 'Exact',
        reinvocationPolicy: values.mutatingWebhookReinvocationPolicy,
        sideEffects: 'None',
        timeoutSeconds: values.mutatingWebhookTimeoutSeconds,
        namespaceSelector: {
          matchExpressions: [
            { key: 'admission.gatekeeper.sh/ignore', operator: 'DoesNotExist' },
            { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: [NAMESPACE] },
          ],
        },
        rules: [
          {
            apiGroups: ['*'],
            apiVersions: ['*'],
            operations: ['CREATE', 'UPDATE'],
            resources: ['*', 'pods/ephemeralcontainers'],
            scope: '*',
          },
        ],
      },
    ],
  };
}
