import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { providerName } from '../../../extension-service/src/core/policies/gatekeeper.js';
import { connectCluster } from '../../../extension-service/src/kubernetes/api.js';
import { publishAuthority } from '../../../extension-service/src/kubernetes/serving-certificate/publish.js';
import type { Published } from '../../../extension-service/src/kubernetes/serving-certificate/publish.js';
import { makeCertificates } from '../../fakes/certificates.js';
import { kubeconfigFor } from '../../fakes/kubeconfig.js';
import { parse, target } from '../../unit/config/parsing.js';

/** An API server with the service's ConfigMap and Gatekeeper's Providers, of which it keeps what is patched. */

const PROVIDERS = '/apis/externaldata.gatekeeper.sh/v1beta1/providers/';
/** Takes two mutators for each list of containers. */
const SPLIT = "obj.metadata.namespace == 'a' && obj.metadata.labels.x == 'y'";
const OURS = 'https://image-swapper.tools.svc:8443';

let folder: string;
let server: Server;
let kubeconfig: string;
/** URLs of the Providers by their names. */
const providers = new Map<string, string>();
const patched: { readonly path: string; readonly body: unknown }[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-publish-'));
  const { ca, cert, key } = await makeCertificates({ hosts: ['127.0.0.1'] });
  server = createServer({ cert, key }, (request, response) => {
    void text(request).then((body) => {
      const path = new URL(request.url ?? '', 'https://a').pathname;
      if (request.method === 'PATCH') patched.push({ path, body: JSON.parse(body) as unknown });
      const url = providers.get(path.slice(PROVIDERS.length));
      const isMap = path.endsWith('/configmaps/image-swapper-ca');
      const found = isMap || (path.startsWith(PROVIDERS) && url !== undefined);
      response.writeHead(found ? 200 : 404, { 'content-type': 'application/json' });
      const object = isMap ? { data: {} } : { metadata: { resourceVersion: '7' }, spec: { url, caBundle: '' } };
      response.end(JSON.stringify(found ? object : { kind: 'Status', code: 404 }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  kubeconfig = join(folder, 'kubeconfig');
  await writeFile(kubeconfig, kubeconfigFor({ origin, ca, token: 'token' }, 'tools'));
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});
beforeEach(() => {
  providers.clear();
  patched.length = 0;
});

async function publish(filter: string): Promise<Published> {
  const { config } = parse(
    `${target}policies: {engine: gatekeeper}\ntls: {mode: selfSigned, dnsNames: [image-swapper.tools.svc]}\n` +
      `source:\n  filters:\n    - jmespath: ${JSON.stringify(filter)}\n`,
  );
  const cluster = await connectCluster({ KUBECONFIG: kubeconfig });
  if (cluster === undefined) throw new Error('no cluster');
  return publishAuthority(cluster, config, 'PEM');
}

describe('the authority of the serving certificate, at Gatekeeper', () => {
  it('goes into the Provider of these filters, also where those take a name of their own', async () => {
    const name = providerName('image-swapper', [SPLIT]);
    expect(name).toMatch(/^image-swapper-[0-9a-f]{12}$/);
    providers.set(name, `${OURS}/v1/gatekeeper/filters-x`).set('image-swapper-other', OURS);
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

  it('goes into the one of the plain name, too, which objects without filters have', async () => {
    providers.set('image-swapper', OURS);
    expect(await publish(SPLIT)).toEqual({ complete: true, problems: [] });
    expect(patched.map(({ path }) => path)).toContain(`${PROVIDERS}image-swapper`);
  });

  it('is not put into a Provider that calls another host, which is told and holds up no rotation', async () => {
    providers.set('image-swapper', 'https://elsewhere.example.com/v1/gatekeeper');
    expect(await publish("starts_with(container.image, 'a')")).toEqual({
      complete: true,
      problems: [
        'Provider image-swapper: calls "elsewhere.example.com", which tls.dnsNames does not name: its authority is left as it is; correct the address, or add the name',
      ],
    });
    expect(patched.filter(({ path }) => path.startsWith(PROVIDERS))).toEqual([]);
  });
});
