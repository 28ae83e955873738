import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { stringify } from 'yaml';
import { AzureCloud, OTHER_HOST, REGIONAL_HOST, TARGET_HOST } from '../../fakes/azure/cloud.js';
import { CLIENT, TENANT } from '../../fakes/azure/entra.js';
import { post } from '../../fakes/https-client.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { runHere, runProgram } from '../../fakes/program.js';
import type { ProgramResult } from '../../fakes/program.js';
import { RunningService } from '../../fakes/service.js';
import { trustHere } from '../../fakes/trust-here.js';
import { until } from '../../fakes/until.js';

/**
 * The program with Azure Container Registry and workload identity. The tests check what the fake Azure services
 * receive.
 */

const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'], layerSize: 5_000 });
const OTHER_TENANT = '99999999-2222-3333-4444-555555555555';
let azure: AzureCloud;
let removeCa: () => void;

beforeEach(async () => {
  azure = await AzureCloud.start();
  removeCa = trustHere(await readFile(azure.proxy.caFile, 'utf8'));
  // Microsoft's client reads the environment of the process.
  vi.stubEnv('HTTPS_PROXY', azure.env['HTTPS_PROXY']);
});
afterEach(async () => {
  removeCa();
  vi.unstubAllEnvs();
  await azure.close();
});

interface Run {
  readonly env?: Record<string, string>;
  readonly more?: object;
  /** Runs the bundle as a separate process. */
  readonly built?: boolean;
}

async function run(
  args: string[],
  acr: object,
  { env = {}, more = {}, built = false }: Run = {},
): Promise<ProgramResult> {
  const config = join(azure.folder, 'image-swapper.yaml');
  await writeFile(config, stringify({ target: { type: 'acr', acr: { registry: TARGET_HOST, ...acr } }, ...more }));
  const line = [...args, '--config', config];
  const whole = { ...azure.env, ...env };
  const result = built ? await runProgram(line, whole) : await runHere(line, { env: whole, cwd: azure.folder });
  for (const secret of azure.secrets()) expect(result.stdout + result.stderr).not.toContain(secret);
  return result;
}

const mirrored = (name = 'mirror/registry.example.com/app', tag = '1.0'): string | undefined =>
  azure.target.manifest(name, tag)?.digest;

describe('mirror', () => {
  it.each([
    ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE'],
    ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS'],
  ])('exchanges the ServiceAccount token at Entra, then at the registry, and pushes: %s', async (variable, other) => {
    const env = { [variable]: azure.proxy.caFile, [other]: '' };
    const result = await run(['mirror', azure.push(image)], { prefix: 'mirror' }, { built: true, env });
    expect(result).toMatchObject({ code: 0 });
    expect(mirrored()).toBe(image.digest);
    expect(azure.entra.requests.map(({ tenant, form }) => [tenant, form.get('client_id')])).toEqual([[TENANT, CLIENT]]);
    expect(azure.entra.requests[0]?.form.get('scope')).toMatch(/^https:\/\/containerregistry\.azure\.net\/\.default/);
    expect(azure.targetPlane.exchanges.map((form) => [...form.keys()].sort())).toEqual([
      ['access_token', 'grant_type', 'service', 'tenant'],
    ]);
    expect(azure.targetPlane.exchanges[0]?.get('service')).toBe(TARGET_HOST);
    expect(azure.targetPlane.exchanges[0]?.get('tenant')).toBe(TENANT);
    expect(new Set(azure.targetPlane.refreshTokens)).toEqual(new Set(azure.targetPlane.issued));
  });

  it('logs in at a regional endpoint for the registry behind it', async () => {
    const result = await run(['mirror', azure.push(image)], { registry: REGIONAL_HOST, prefix: 'mirror' });
    expect(result).toMatchObject({ code: 0 });
    expect(mirrored()).toBe(image.digest);
    expect(azure.targetPlane.exchanges.map((form) => form.get('service'))).toEqual([TARGET_HOST]);
    const hosts = new Set(azure.target.accessLog.map(({ headers }) => headers.host));
    expect(hosts).toEqual(new Set([REGIONAL_HOST]));
  });

  it('uses one login for the global name and the regional endpoints of a registry', async () => {
    loadImage(azure.target, 'team/app', image, '1.0');
    const result = await run(['mirror', `${REGIONAL_HOST}/team/app:1.0`], { prefix: 'mirror' });
    expect(result).toMatchObject({ code: 0 });
    expect(mirrored(`mirror/${REGIONAL_HOST}/team/app`)).toBe(image.digest);
    expect(azure.targetPlane.exchanges).toHaveLength(1);
  });

  it('prefers the identity of the configuration to that of the environment', async () => {
    const env = { AZURE_TENANT_ID: OTHER_TENANT, AZURE_CLIENT_ID: OTHER_TENANT };
    const result = await run(
      ['mirror', azure.push(image)],
      { prefix: 'mirror', tenantId: TENANT, clientId: CLIENT },
      { env },
    );
    expect(result).toMatchObject({ code: 0 });
    expect(mirrored()).toBe(image.digest);
  });

  it('uploads a layer that exceeds the limit of one request', async () => {
    const large = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 1, layerSize: 21_000_000 });
    const result = await run(['mirror', azure.push(large)], { prefix: 'mirror' });
    expect(result).toMatchObject({ code: 0 });
    expect(mirrored()).toBe(large.digest);
  });

  it('reads from a private Azure registry, and gives its login to no other registry', async () => {
    loadImage(azure.source, 'team/app', image, '1.0');
    const source = { type: 'acr', acr: { registry: OTHER_HOST } };
    const images = [`${OTHER_HOST}/team/app:1.0`, azure.push(image)];
    const result = await run(['mirror', ...images], {}, { more: { source: { registries: [source] } } });
    expect(result).toMatchObject({ code: 0 });
    expect(mirrored(`${OTHER_HOST}/team/app`)).toBe(image.digest);
    expect(mirrored('registry.example.com/app')).toBe(image.digest);
    expect(new Set(azure.otherPlane.refreshTokens)).toEqual(new Set(azure.otherPlane.issued));
    expect(new Set(azure.targetPlane.refreshTokens)).toEqual(new Set(azure.targetPlane.issued));
    const elsewhere = azure.source.accessLog.filter(({ headers }) => headers.host === 'registry.example.com');
    expect(elsewhere.filter(({ authorization }) => authorization !== undefined)).toEqual([]);
  });

  it('does not log in to an Azure registry that is not configured', async () => {
    loadImage(azure.source, 'team/app', image, '1.0');
    const result = await run(['mirror', `${OTHER_HOST}/team/app:1.0`], {});
    expect(result.code).not.toBe(0);
    expect(azure.otherPlane.exchanges).toEqual([]);
    expect(azure.otherPlane.refreshTokens).toEqual([]);
  });
});

describe('check --online', () => {
  it('does not advise on roles where the network rules refuse (Azure/azure-cli#17137)', async () => {
    const message =
      "client with IP '192.0.2.1' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.";
    const body = JSON.stringify({ errors: [{ code: 'DENIED', message }] });
    azure.target.fault({ path: '/blobs/uploads/', action: { type: 'status', status: 403, body } });
    const { stdout } = await run(['check', '--online'], {});
    expect(stdout).toContain("the registry's network rules do not allow this address");
    expect(stdout).not.toContain('AcrPush');
  });

  it('shows the login and the role', async () => {
    const result = await run(['check', '--online'], {});
    expect(result).toMatchObject({ code: 0 });
    expect(result.stdout).toContain(`client ${CLIENT} of tenant ${TENANT}, until `);
    expect(result.stdout).toContain('the identity may push');
    expect(azure.target.accessLog.filter(({ method }) => method === 'PUT')).toEqual([]);
  });

  it('names the role that is missing', async () => {
    azure.targetPlane.role = 'AcrPull';
    const result = await run(['check', '--online'], {}, { built: true });
    expect(result).toMatchObject({ code: 1 });
    expect(result.stdout).toContain(`client ${CLIENT} of tenant ${TENANT} may not push: assign it the role AcrPush`);
  });

  it('names the role that is missing to a registry that answers 403, and no role for another failure', async () => {
    const upload = { method: 'POST', path: /image-swapper-check\/blobs\/uploads/ };
    azure.target.fault({ ...upload, action: { type: 'status', status: 403 } });
    const refused = await run(['check', '--online'], {});
    expect(refused.stdout).toContain(
      'may not push: assign it the role AcrPush on the registry, or, for a registry in ABAC',
    );
    azure.target.clearFaults();
    azure.target.fault({ ...upload, action: { type: 'status', status: 400 } });
    const failed = await run(['check', '--online'], {});
    expect(failed.code).toBe(1);
    expect(failed.stdout).toMatch(/ role .*HTTP 400/);
    expect(failed.stdout).not.toContain('AcrPush');
  });

  it('tries the role to delete where gc deletes, below the prefix, and deletes nothing', async () => {
    const more = { gc: { clusters: ['east'] } };
    const refused = await run(['check', '--online'], { prefix: 'mirror' }, { more });
    expect(refused.code).toBe(1);
    expect(refused.stdout).toContain('the identity may push');
    expect(refused.stdout).toContain(
      `client ${CLIENT} of tenant ${TENANT} may not delete: assign it the role AcrDelete`,
    );
    azure.targetPlane.mayDelete = true;
    const allowed = await run(['check', '--online'], { prefix: 'mirror' }, { more });
    expect(allowed).toMatchObject({ code: 0 });
    expect(allowed.stdout).toContain('the identity may delete');
    const deleted = azure.target.requests(({ method, path }) => method === 'DELETE' && path.includes('/manifests/'));
    expect(new Set(deleted)).toEqual(
      new Set([`DELETE /v2/mirror/image-swapper-check/manifests/sha256:${'0'.repeat(64)}`]),
    );
    const places = azure.target.accessLog.map(({ path }) => path.split('/').slice(2, 4).join('/'));
    expect(new Set(places)).toEqual(new Set(['mirror/image-swapper-check']));
  });

  it.each<[string, object]>([
    ['without a token', {}],
    ['with a token of several words', { refresh_token: 'please log in' }],
    ['with a token that is a number', { refresh_token: 7 }],
  ])('reports that the exchange answers %s without showing its content', async (_, answer) => {
    azure.targetPlane.exchanged = answer;
    const result = await run(['check', '--online'], {});
    expect(result.code).toBe(1);
    expect(result.stdout).toContain('the registry answered without a refresh token');
    expect(result.stdout + result.stderr).not.toContain('please');
  });

  it('uses a refresh token without an expiry for three hours', async () => {
    azure.targetPlane.exchanged = { refresh_token: 'opaque' };
    const before = Date.now();
    const result = await run(['check', '--online'], {});
    const until = Date.parse(/until (\S+Z)/.exec(result.stdout)?.[1] ?? '');
    expect(until).toBeGreaterThanOrEqual(before + 3 * 3_600_000);
    expect(until).toBeLessThanOrEqual(Date.now() + 3 * 3_600_000);
  });

  it('reports a ServiceAccount token file that is empty, by its name', async () => {
    await azure.writeToken('\n');
    const result = await run(['check', '--online'], {});
    expect(result.code).toBe(1);
    expect(result.stdout).toContain(`AZURE_FEDERATED_TOKEN_FILE ${azure.tokenFile} is empty`);
    expect(azure.entra.requests).toEqual([]);
  });

  it('attempts no push at a source', async () => {
    const source = { type: 'acr', acr: { registry: OTHER_HOST } };
    const result = await run(['check', '--online'], {}, { more: { source: { registries: [source] } } });
    expect(result.stdout).toMatch(new RegExp(`source ${OTHER_HOST} .*login`));
    expect(azure.source.accessLog.filter(({ method }) => method === 'POST')).toEqual([]);
  });

  it.each<[string, object, Record<string, string>, string[]]>([
    [
      'a tenant that Entra does not know',
      { tenantId: OTHER_TENANT },
      {},
      [TARGET_HOST, 'login.microsoftonline.com', `tenant ${OTHER_TENANT}`, 'check acr.tenantId'],
    ],
    ['a client that the tenant does not have', { clientId: OTHER_TENANT }, {}, ['AADSTS700016', 'check acr.clientId']],
    ['no tenant', {}, { AZURE_TENANT_ID: '' }, ['acr.tenantId or AZURE_TENANT_ID must be set']],
    ['no webhook', {}, { AZURE_FEDERATED_TOKEN_FILE: '' }, ['AZURE_FEDERATED_TOKEN_FILE must be set']],
    ['no token file', {}, { AZURE_FEDERATED_TOKEN_FILE: '/nowhere/token' }, ['/nowhere/token cannot be read: ENOENT']],
  ])('explains what to do about %s', async (_, acr, env, texts) => {
    const result = await run(['check', '--online'], acr, { env });
    expect(result).toMatchObject({ code: 1 });
    for (const text of texts) expect(result.stdout).toContain(text);
    // Without a login, nothing is known about objects of the registry.
    expect(result.stdout).toMatch(/^FAILED {2}.* login /m);
    expect(result.stdout).not.toContain('MISSING');
  });

  it('names host, tenant and client when the federated credential is for another ServiceAccount', async () => {
    await azure.writeToken('a-token-of-another-service-account');
    const result = await run(['check', '--online'], {});
    expect(result.stdout).toContain(`for tenant ${TENANT}, client ${CLIENT}: AADSTS700213`);
    expect(result.stdout).toContain('system:serviceaccount:NAMESPACE:NAME');
    expect(result.stdout).not.toContain('a-token-of-another-service-account');
  });

  it('names tenant and client when the registry does not trust the tenant', async () => {
    azure.targetPlane.refusesEntra = true;
    const result = await run(['check', '--online'], {});
    expect(result).toMatchObject({ code: 1 });
    expect(result.stdout).toContain(
      `${TARGET_HOST}: the registry refuses the Microsoft Entra token of tenant ${TENANT}, client ${CLIENT} (HTTP 401`,
    );
  });
});

describe('serve', () => {
  async function serve(): Promise<RunningService> {
    const config = stringify({ target: { type: 'acr', acr: { registry: TARGET_HOST } }, imageCopyPolicy: 'delayed' });
    return RunningService.start({ plain: true, config, env: azure.env });
  }

  async function admit(service: RunningService, name: string): Promise<string | undefined> {
    const object = { spec: { containers: [{ name: 'app', image: name }] } };
    const body = JSON.stringify({ request: { operation: 'CREATE', namespace: 'a', object } });
    const reply = await post(`${service.url}/v1/kyverno`, body);
    return (reply.json() as { images: { containers?: { app?: string } } }).images.containers?.app;
  }

  it('renews a refresh token that has expired, with the ServiceAccount token of that time', async () => {
    azure.targetPlane.life = 12;
    const service = await serve();
    try {
      const [first, second] = [azure.push(image), azure.push(image, 'app:2.0')];
      await until('the first image is swapped', async () => (await admit(service, first)) !== undefined);
      const before = [...azure.targetPlane.issued];
      azure.targetPlane.life = 3 * 3600;
      azure.entra.assertion = 'the-token-that-the-kubelet-has-written-since';
      await azure.writeToken(azure.entra.assertion);
      azure.targetPlane.revoke();
      await until('the login is renewed', () => azure.targetPlane.issued.length > before.length);
      await until('the second image is swapped', async () => (await admit(service, second)) !== undefined);
      expect(mirrored('registry.example.com/app', '2.0')).toBe(image.digest);
      const assertions = azure.entra.requests.map(({ form }) => form.get('client_assertion'));
      expect(assertions[0]).not.toBe(azure.entra.assertion);
      expect(assertions.at(-1)).toBe(azure.entra.assertion);
      for (const secret of azure.secrets()) expect(JSON.stringify(service.log)).not.toContain(secret);
    } finally {
      await service.stop('SIGKILL');
    }
  });
});
