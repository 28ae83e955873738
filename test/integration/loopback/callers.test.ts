import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeApiServer } from '../../fakes/apiserver.js';
import { get, post } from '../../fakes/https-client.js';
import type { ClientReply, SendOptions } from '../../fakes/https-client.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import type { RunningService } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';
import { admissionRequest, metric, mirrors, plainRegistry, World } from './world.js';

/** The built service beside an API server: who is answered on which route, and whose pull secrets a request may use. */

const SECRET = 'caller-word-caller-word-caller-word';
const PATH = '0123456789abcdef0123456789abcdef';
const ACCOUNT = 'system:serviceaccount:kyverno:kyverno-admission-controller';
const AUDIENCE = 'kyverno-svc.kyverno.io';
/** Not the loopback address of port-forwards. */
const ELSEWHERE = { localAddress: '127.0.0.2' };
const image = buildImage({ layerSize: 1_000 });
const pull = { imagePullSecrets: [{ name: 'pod-secret' }] };

let world: World;
let api: FakeApiServer;
let folder: string;
let source: FakeRegistry;
let target: FakeRegistry;

beforeEach(async () => {
  world = new World();
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-'));
  api = await FakeApiServer.start();
  await writeFile(join(folder, 'kubeconfig'), api.kubeconfig('swapper'));
  source = await world.registry({ auth: { type: 'basic', users: { team: 'good-word' } } });
  target = await world.registry();
  loadImage(source, 'team/app', image, '1');
  api.putPullSecret('team-a', 'pod-secret', { [source.host]: { username: 'team', password: 'good-word' } });
  api.putServiceAccount('team-a', 'default', []);
});

afterEach(async () => {
  await world.close();
  await api.close();
  await rm(folder, { recursive: true });
});

const serve = (more: object = {}, flags: readonly string[] = []): Promise<RunningService> =>
  world.serve(
    {
      source: { registries: [plainRegistry(source)] },
      target: plainRegistry(target),
      // The API server does not know Leases; this test does not need one.
      reconcile: { enabled: false },
      ...more,
    },
    { env: { KUBECONFIG: join(folder, 'kubeconfig') }, flags },
  );

const app = (): string => `${source.host}/team/app:1`;
const kyvernoBody = (asked: object = {}): string =>
  JSON.stringify({ request: admissionRequest({ app: app() }, { spec: pull, ...asked }) });
const webhookBody = (asked: object = {}): string =>
  JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: admissionRequest({ app: app() }, { spec: pull, ...asked }),
  });
const GATEKEEPER_BODY = JSON.stringify({
  apiVersion: 'externaldata.gatekeeper.sh/v1beta1',
  kind: 'ProviderRequest',
  request: { keys: ['nginx'] },
});

const send = (service: RunningService, path: string, body: string, options: SendOptions = {}): Promise<ClientReply> =>
  post(`${service.url}${path}`, body, { ca: service.ca, ...options });
const kyverno = (service: RunningService, headers: Record<string, string> = {}): Promise<ClientReply> =>
  send(service, '/v1/kyverno', kyvernoBody(), { headers });
const codeOf = (reply: ClientReply): unknown => (reply.json() as { error?: { code: string } }).error?.code;

async function stateOf(service: RunningService): Promise<string> {
  let state = '';
  await until('the copy ends', async () => {
    state = (await mirrors(service)).find((row) => row.source === app())?.state ?? '';
    return state === 'done' || state === 'failed';
  });
  return state;
}

/** Paths of Secrets and ServiceAccounts that the API server was asked for. */
const secretsAsked = (): string[] =>
  api.requests.map(({ path }) => path).filter((path) => /\/(secrets|serviceaccounts)\b/.test(path));

describe('pull secrets that an unauthenticated request names', () => {
  it.each([
    ['/v1/kyverno', kyvernoBody],
    ['/webhook', webhookBody],
  ])('are not read for a Pod that the API server has not shown: %s', async (path, body) => {
    const service = await serve();
    expect((await send(service, path, body())).status).toBe(200);
    expect(await stateOf(service)).toBe('failed');
    const [row] = await mirrors(service);
    expect(row?.failure?.message).toContain('the caller is not authenticated');
    expect(secretsAsked()).toEqual([]);
    expect(source.accessLog.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
  });

  it('are read once the API server shows the Pod', async () => {
    api.putPod('team-a', 'web', { containers: [{ name: 'app', image: app() }], ...pull });
    const service = await serve();
    await kyverno(service);
    expect(await stateOf(service)).toBe('done');
    expect(target.manifest(`${source.host.replace(':', '_')}/team/app`, '1')?.digest).toBe(image.digest);
  });

  it.each([
    ['of another image', { containers: [{ name: 'app', image: 'other.example/app:1' }], ...pull }],
    ['with other pull secrets', { containers: [{ name: 'app', image: 'IMAGE' }], imagePullSecrets: [{ name: 'x' }] }],
    ['of another ServiceAccount', { containers: [{ name: 'app', image: 'IMAGE' }], ...pull, serviceAccountName: 'x' }],
  ])('are not read for a Pod %s', async (_, spec) => {
    const own = JSON.parse(JSON.stringify(spec).replace('IMAGE', app())) as object;
    api.putPod('team-a', 'web', own);
    api.putPod('team-b', 'web', { containers: [{ name: 'app', image: app() }], ...pull });
    const service = await serve();
    await kyverno(service);
    expect(await stateOf(service)).toBe('failed');
    expect(secretsAsked()).toEqual([]);
  });
});

describe('names that are not Kubernetes names', () => {
  const names = ['..', 'a/b', 'A', 'x'.repeat(254), '%2e%2e', 'a b'];

  it('are refused as a namespace, and the webhook admits the Pod unchanged', async () => {
    const service = await serve();
    for (const namespace of names) {
      const reply = await send(service, '/v1/kyverno', kyvernoBody({ namespace }));
      expect([reply.status, codeOf(reply)]).toEqual([400, 'invalid_request']);
      const review = (await send(service, '/webhook', webhookBody({ namespace }))).json() as {
        response: { allowed: boolean; warnings: string[]; patch?: string };
      };
      expect(review.response).toMatchObject({
        allowed: true,
        warnings: [expect.stringContaining('is not a Kubernetes name')],
      });
      expect(review.response.patch).toBeUndefined();
    }
    expect(await mirrors(service)).toEqual([]);
  });

  it('are not read as ServiceAccount or Secret, also for an authenticated caller', async () => {
    const service = await serve({ auth: { kyverno: { secret: SECRET } } });
    const spec = { imagePullSecrets: names.map((name) => ({ name })), serviceAccountName: '../../secrets/pod-secret' };
    const headers = { 'Image-Swapper-Secret': SECRET };
    expect((await send(service, '/v1/kyverno', kyvernoBody({ spec }), { headers })).status).toBe(200);
    expect(await stateOf(service)).toBe('failed');
    expect(secretsAsked().filter((path) => path.includes('/namespaces/'))).toEqual([]);
    expect(service.log.find(({ message }) => message.includes('not Kubernetes names'))).toMatchObject({
      namespace: 'team-a',
      names: expect.arrayContaining(['..']) as unknown,
    });
  });
});

describe('auth.kyverno.secret', () => {
  it('is what /v1/kyverno asks for, in plain text or as a Secret holds it, and closes routes without authentication', async () => {
    const service = await serve({ auth: { kyverno: { secret: SECRET } } });
    for (const headers of [{}, { 'Image-Swapper-Secret': `${SECRET}x` }, { Authorization: `Bearer ${SECRET}` }]) {
      const reply = await kyverno(service, headers);
      expect([reply.status, codeOf(reply)]).toEqual([401, 'caller_unknown']);
    }
    expect(await mirrors(service)).toEqual([]);
    const encoded = Buffer.from(SECRET).toString('base64');
    expect((await kyverno(service, { 'Image-Swapper-Secret': encoded })).status).toBe(200);
    expect((await kyverno(service, { 'Image-Swapper-Secret': SECRET })).status).toBe(200);
    expect(await stateOf(service)).toBe('done');
    for (const [path, body] of [
      ['/webhook', webhookBody()],
      ['/v1/gatekeeper', GATEKEEPER_BODY],
    ] as const) {
      const reply = await send(service, path, body);
      expect([reply.status, codeOf(reply)]).toEqual([404, 'not_served']);
      expect(reply.text).toContain('server.routes');
    }
    expect(api.reviews).toEqual([]);
    expect(JSON.stringify(service.log)).not.toContain(SECRET);
    expect(JSON.stringify(service.log)).not.toContain(encoded);
  });
});

describe('auth.kyverno.token', () => {
  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

  it("takes Kyverno's own token, reviewed once", async () => {
    api.putToken('token-word', ACCOUNT, AUDIENCE);
    const service = await serve({ auth: { kyverno: { token: true } } });
    const replies = await Promise.all([1, 2, 3].map(() => kyverno(service, bearer('token-word'))));
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(api.reviews).toEqual([{ token: 'token-word', audiences: [AUDIENCE] }]);
    expect(await stateOf(service)).toBe('done');
    expect(JSON.stringify(service.log)).not.toContain('token-word');
  });

  it.each([
    ['of another ServiceAccount', 'system:serviceaccount:team-a:default', AUDIENCE, 403, 'caller_refused'],
    ['for another audience', ACCOUNT, 'https://kubernetes.default.svc', 401, 'caller_unknown'],
    ['that is unknown', undefined, AUDIENCE, 401, 'caller_unknown'],
  ])('refuses a token %s', async (_, user, audience, status, code) => {
    if (user !== undefined) api.putToken('token-word', user, audience);
    const service = await serve({ auth: { kyverno: { token: true } } });
    const reply = await kyverno(service, bearer('token-word'));
    expect([reply.status, codeOf(reply)]).toEqual([status, code]);
    expect((await kyverno(service)).status).toBe(401);
    expect(api.reviews).toHaveLength(1);
    expect(await mirrors(service)).toEqual([]);
  });

  it('answers 503 while the API server does not review tokens', async () => {
    api.refuse('/apis/authentication.k8s.io/v1/tokenreviews', 403);
    const service = await serve({ auth: { kyverno: { token: true } } });
    const reply = await kyverno(service, bearer('token-word'));
    expect([reply.status, codeOf(reply)]).toEqual([503, 'token_review_failed']);
    expect(reply.text).toContain('grant the service create on tokenreviews');
    expect(reply.text).not.toContain('token-word');
  });
});

describe('auth.kyverno.tokenRequired: false', () => {
  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
  const auth = { kyverno: { token: true, tokenRequired: false } };

  it("believes the holder of Kyverno's token, and closes no route", async () => {
    api.putToken('token-word', ACCOUNT, AUDIENCE);
    const service = await serve({ auth });
    expect((await kyverno(service, bearer('token-word'))).status).toBe(200);
    expect(await stateOf(service)).toBe('done');
    expect((await send(service, '/webhook', webhookBody())).status).toBe(200);
    expect(service.log.filter(({ message }) => message.includes('also answers callers without a token'))).toHaveLength(
      1,
    );
    expect(await metric(service, 'image_swapper_open_routes', { route: 'kyverno' })).toBe(1);
  });

  it.each([
    ['no token', undefined, {}],
    ['an unknown token', undefined, bearer('token-word')],
    ['a token of another ServiceAccount', 'system:serviceaccount:team-a:default', bearer('token-word')],
  ])('answers a caller with %s, and reads no pull secrets for it', async (_, user, headers) => {
    if (user !== undefined) api.putToken('token-word', user, AUDIENCE);
    const service = await serve({ auth });
    expect((await kyverno(service, headers)).status).toBe(200);
    expect(await stateOf(service)).toBe('failed');
    expect(secretsAsked()).toEqual([]);
  });

  it('answers while the API server does not review tokens, which is asked once and logged once', async () => {
    api.refuse('/apis/authentication.k8s.io/v1/tokenreviews', 403);
    const service = await serve({ auth });
    for (const word of ['token-a', 'token-b', 'token-c'])
      expect((await kyverno(service, bearer(word))).status).toBe(200);
    expect(await stateOf(service)).toBe('failed');
    expect(secretsAsked()).toEqual([]);
    const asked = api.requests.filter(({ path }) => path.endsWith('/tokenreviews'));
    expect(asked).toHaveLength(1);
    const lines = service.log.filter(({ message }) => message.includes('token cannot be checked'));
    expect(lines.map(({ level }) => level)).toEqual(['warn']);
    expect(JSON.stringify(lines)).not.toContain('token-a');
  });
});

describe('auth.webhook.path', () => {
  it('is the only path of the webhook, and is in no log and no metric', async () => {
    const service = await serve({ auth: { webhook: { path: PATH } }, policies: { engine: 'webhook' } });
    for (const path of ['/webhook', '/webhook/', `/webhook/${PATH.replace('0', '1')}`, '/webhook/abc/def']) {
      const reply = await send(service, path, webhookBody());
      expect([reply.status, codeOf(reply)], path).toEqual([401, 'caller_unknown']);
    }
    for (const path of [`/webhook/${PATH}`, `/webhook/${PATH}/0123456789ab`]) {
      expect((await send(service, path, webhookBody())).status, path).toBe(200);
    }
    expect(await stateOf(service)).toBe('done');
    expect((await send(service, '/v1/kyverno', kyvernoBody())).status).toBe(404);
    expect(JSON.stringify(service.log)).not.toContain(PATH);
    expect((await get(`${service.operations}/metrics`)).text).not.toContain(PATH);
  });
});

describe('server.routes', () => {
  it('names what is answered', async () => {
    const service = await serve({ server: { routes: ['webhook'] }, policies: { engine: 'webhook' } });
    expect((await send(service, '/webhook', webhookBody())).status).toBe(200);
    const reply = await send(service, '/v1/kyverno', kyvernoBody());
    expect([reply.status, codeOf(reply)]).toEqual([404, 'not_served']);
    expect(reply.text).toContain('server.routes does not contain it');
  });

  it('is all without authentication, and the open route of the engine is logged and counted', async () => {
    const service = await serve();
    for (const [path, body] of [
      ['/v1/kyverno', kyvernoBody()],
      ['/webhook', webhookBody()],
      ['/v1/gatekeeper', GATEKEEPER_BODY],
    ] as const) {
      expect((await send(service, path, body)).status, path).toBe(200);
    }
    expect(service.log.filter(({ message }) => message.includes('has no authentication'))).toHaveLength(1);
    expect(await metric(service, 'image_swapper_open_routes', { route: 'kyverno' })).toBe(1);
    expect(await metric(service, 'image_swapper_open_routes', { route: 'webhook' })).toBe(0);
  });
});

describe('/v1/explain and /v1/mirrors', () => {
  const explainBody = JSON.stringify({ image: 'nginx' });
  const from = (service: RunningService, options: SendOptions): Promise<ClientReply>[] => [
    send(service, '/v1/explain', explainBody, options),
    get(`${service.operations}/v1/mirrors`, options),
  ];

  it.each([
    ['without auth.explain', {}, {}],
    ['without the secret', { auth: { explain: { secret: SECRET } } }, {}],
    ['with another secret', { auth: { explain: { secret: SECRET } } }, { 'Image-Swapper-Secret': `${SECRET}x` }],
  ])('answer loopback alone %s', async (_, config, headers) => {
    const service = await serve(config);
    for (const reply of await Promise.all(from(service, { ...ELSEWHERE, headers }))) {
      expect([reply.status, codeOf(reply)]).toEqual([403, 'loopback_only']);
      expect(reply.text).toContain('kubectl port-forward');
    }
    for (const reply of await Promise.all(from(service, {}))) expect(reply.status).toBe(200);
    expect((await get(`${service.operations}/metrics`, ELSEWHERE)).status).toBe(200);
  });

  it('answer a caller that knows auth.explain.secret', async () => {
    const service = await serve({ auth: { explain: { secret: SECRET } } });
    const replies = await Promise.all(from(service, { ...ELSEWHERE, headers: { 'Image-Swapper-Secret': SECRET } }));
    expect(replies.map(({ status }) => status)).toEqual([200, 200]);
    // It opens nothing else, and closes nothing.
    expect((await send(service, '/webhook', webhookBody())).status).toBe(200);
  });
});

describe('bodies that do not end', () => {
  it('of some peers do not keep out those of others', async () => {
    const plain = await serve({}, ['--http-listen-address', '127.0.0.1:0']);
    const line = () => plain.log.find((one) => one['purpose'] === 'admission' && one['protocol'] === 'http');
    await until('the plain listener is open', () => line() !== undefined);
    const port = Number(String(line()?.['address']).split(':').at(-1));
    const sockets: Socket[] = [];
    const chunk = Buffer.alloc(3_900_000, 'x');
    // 94 MB in 24 bodies, none of which ends.
    for (let index = 0; index < 24; index += 1) {
      const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.3' });
      socket.on('error', () => undefined);
      socket.write(`POST /v1/kyverno HTTP/1.1\r\nHost: a\r\nContent-Length: ${chunk.length + 1}\r\n\r\n`);
      socket.write(chunk);
      sockets.push(socket);
    }
    const busy = () => metric(plain, 'image_swapper_resolve_requests_total', { route: 'kyverno', outcome: '503' });
    await until('the share is full', async () => (await busy()) > 0);
    const replies = await Promise.all(Array.from({ length: 20 }, () => send(plain, '/v1/kyverno', kyvernoBody())));
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]));
    for (const socket of sockets) socket.destroy();
  });
});
