import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { providerName } from '../../../extension-service/src/core/engines/gatekeeper/mutation.js';
import { connectCluster } from '../../../extension-service/src/kubernetes/api.js';
import { publishCa } from '../../../extension-service/src/kubernetes/serving-certificate/publish.js';
import type { Published } from '../../../extension-service/src/kubernetes/serving-certificate/publish.js';
import { startAnsweringApi } from '../../fakes/answering-api.js';
import type { AnsweringApi } from '../../fakes/answering-api.js';
import { parse, target } from '../../unit/config/parsing.js';

/** An API server with the service's ConfigMap and Gatekeeper's Providers. It stores patches to these objects. */

const PROVIDERS = '/apis/externaldata.gatekeeper.sh/v1beta1/providers/';
/** A configuration that needs two mutators for each list of containers. */
const SPLIT = "obj.metadata.namespace == 'a' && obj.metadata.labels.x == 'y'";
const SERVICE_URL = 'https://image-swapper.tools.svc:8443';

let api: AnsweringApi;
/** URLs of the Providers by name. */
const providers = new Map<string, string>();
const patched: { readonly path: string; readonly body: unknown }[] = [];

beforeAll(async () => {
  api = await startAnsweringApi('tools', ({ method, path, body }) => {
    if (method === 'PATCH') patched.push({ path, body });
    if (path.endsWith('/configmaps/image-swapper-ca')) return { data: {} };
    const url = path.startsWith(PROVIDERS) ? providers.get(path.slice(PROVIDERS.length)) : undefined;
    return url === undefined ? 404 : { metadata: { resourceVersion: '7' }, spec: { url, caBundle: '' } };
  });
});
afterAll(() => api.stop());
beforeEach(() => {
  providers.clear();
  patched.length = 0;
});

async function publish(filter: string): Promise<Published> {
  const { config } = parse(
    `${target}policies: {engine: gatekeeper}\ntls: {mode: selfSigned, dnsNames: [image-swapper.tools.svc]}\n` +
      `source:\n  filters:\n    - jmespath: ${JSON.stringify(filter)}\n`,
  );
  const cluster = await connectCluster({ KUBECONFIG: api.kubeconfig });
  if (cluster === undefined) throw new Error('no cluster');
  return publishCa(cluster, config, 'PEM');
}

describe('the CA certificate of the serving certificate, at Gatekeeper', () => {
  it('is written to the Provider of these filters, even if it has its own name', async () => {
    const name = providerName('image-swapper', [SPLIT]);
    expect(name).toMatch(/^image-swapper-[0-9a-f]{12}$/);
    providers.set(name, `${SERVICE_URL}/v1/gatekeeper/filters-x`).set('image-swapper-other', SERVICE_URL);
    expect(await publish(SPLIT)).toEqual({ complete: true, problems: [] });
    expect(patched.filter(({ path }) => path.startsWith(PROVIDERS))).toEqual([
      {
        path: `${PROVIDERS}${name}`,
        body: [
          { op: 'test', path: '/metadata/resourceVersion', value: '7' },
          { op: 'add', path: '/spec/caBundle', value: Buffer.from('PEM').toString('base64') },
        ],
      },
    ]);
  });

  it('is also written to the Provider with the default name, which objects without filters use', async () => {
    providers.set('image-swapper', SERVICE_URL);
    expect(await publish(SPLIT)).toEqual({ complete: true, problems: [] });
    expect(patched.map(({ path }) => path)).toContain(`${PROVIDERS}image-swapper`);
  });

  it('is not written to a Provider that calls another host, which is reported and delays no rotation', async () => {
    providers.set('image-swapper', 'https://elsewhere.example.com/v1/gatekeeper');
    expect(await publish("starts_with(container.image, 'a')")).toEqual({
      complete: true,
      problems: [
        'Provider image-swapper: calls "elsewhere.example.com", which tls.dnsNames does not contain: its CA bundle stays unchanged; correct the address, or add the name',
      ],
    });
    expect(patched.filter(({ path }) => path.startsWith(PROVIDERS))).toEqual([]);
  });
});
