import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FakeApiServer } from '../../fakes/apiserver.js';
import { get, post } from '../../fakes/https-client.js';
import type { ClientReply, SendOptions } from '../../fakes/https-client.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import type { FakeRegistry } from '../../fakes/registry.js';
import type { RunningService } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';
import { admissionRequest, metric, mirrors, pathOf, plainRegistry, World } from './world.js';
import type { MirrorRow } from './world.js';

/**
 * The built service with an API server. The tests check which callers each route accepts, and whose pull secrets a
 * request may use.
 */

const SECRET = 'caller-word-caller-word-caller-word';
const PATH = '0123456789abcdef0123456789abcdef';
const ACCOUNT = 'system:serviceaccount:kyverno:kyverno-admission-controller';
const AUDIENCE = 'kyverno-svc.kyverno.io';
/** A client address other than the loopback address of port-forwards. */
const OTHER_ADDRESS = { localAddress: '127.0.0.2' };
const NO_NAMES = ['..', 'a/b', 'A', 'x'.repeat(254), '%2e%2e', 'a b'];
const built = buildImage({ layerSize: 1_000 });
const pull = { imagePullSecrets: [{ name: 'pod-secret' }] };

let api: FakeApiServer;
let source: FakeRegistry;
let target: FakeRegistry;
let service: RunningService;
/** Each case has its own namespace, image and token. */
let namespace: string;
let repository: string;
let token: string;
let cases = 0;

/** Starts one service for the cases of a `describe`; with `cluster`, also an API server. */
function useService(
  more: object,
  { flags = [], cluster = true }: { flags?: readonly string[]; cluster?: boolean } = {},
) {
  const world = new World();
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'image-swapper-'));
    api = await FakeApiServer.start();
    await writeFile(join(folder, 'kubeconfig'), api.kubeconfig('swapper'));
    source = await world.registry({ auth: { type: 'basic', users: { team: 'good-word' } } });
    target = await world.registry();
    service = await world.serve(
      {
        source: { registries: [plainRegistry(source)] },
        target: plainRegistry(target),
        // The API server does not know Leases; this test does not need one.
        reconcile: { enabled: false },
        ...more,
      },
      { env: cluster ? { KUBECONFIG: join(folder, 'kubeconfig') } : {}, flags },
    );
  });
  beforeEach(() => {
    cases += 1;
    [namespace, repository, token] = [`team-${cases}`, `team/app-${cases}`, `token-word-${cases}`];
    loadImage(source, repository, built, '1');
    api.putPullSecret(namespace, 'pod-secret', { [source.host]: { username: 'team', password: 'good-word' } });
    api.putServiceAccount(namespace, 'default', []);
    api.requests.length = 0;
    api.reviews.length = 0;
    source.accessLog.length = 0;
  });
  afterAll(async () => {
    await world.close();
    await api.close();
    await rm(folder, { recursive: true });
  });
}

const app = (): string => `${source.host}/${repository}:1`;
const request = (asked: object): object => admissionRequest({ app: app() }, { spec: pull, namespace, ...asked });
const kyvernoBody = (asked: object = {}): string => JSON.stringify({ request: request(asked) });
const webhookBody = (asked: object = {}): string =>
  JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: request(asked) });
const GATEKEEPER_BODY = JSON.stringify({
  apiVersion: 'externaldata.gatekeeper.sh/v1beta1',
  kind: 'ProviderRequest',
  request: { keys: ['nginx'] },
});

const send = (path: string, body: string, options: SendOptions = {}): Promise<ClientReply> =>
  post(`${service.url}${path}`, body, { ca: service.ca, ...options });
const kyverno = (headers: Record<string, string> = {}): Promise<ClientReply> =>
  send('/v1/kyverno', kyvernoBody(), { headers });
const codeOf = (reply: ClientReply): unknown => (reply.json() as { error?: { code: string } }).error?.code;
const bearer = (word: string): Record<string, string> => ({ Authorization: `Bearer ${word}` });

/** Returns the copies of this case's image. */
const rows = async (): Promise<MirrorRow[]> => (await mirrors(service)).filter((row) => row.source === app());

async function ended(): Promise<MirrorRow | undefined> {
  let row: MirrorRow | undefined;
  await until('the copy ends', async () => {
    [row] = await rows();
    return row?.state === 'done' || row?.state === 'failed';
  });
  return row;
}
const stateOf = async (): Promise<string | undefined> => (await ended())?.state;

/** Returns the paths of the requests for Secrets and ServiceAccounts. */
const readSecrets = (): string[] =>
  api.requests.map(({ path }) => path).filter((path) => /\/(secrets|serviceaccounts)\b/.test(path));

const explanations = (options: SendOptions): Promise<ClientReply>[] => [
  send('/v1/explain', JSON.stringify({ image: 'nginx' }), options),
  get(`${service.operations}/v1/mirrors`, options),
];

async function expectLoopbackOnly(headers: Record<string, string> = {}): Promise<void> {
  for (const reply of await Promise.all(explanations({ ...OTHER_ADDRESS, headers }))) {
    expect([reply.status, codeOf(reply)]).toEqual([403, 'loopback_only']);
    expect(reply.text).toContain('kubectl port-forward');
  }
  for (const reply of await Promise.all(explanations({}))) expect(reply.status).toBe(200);
  expect((await get(`${service.operations}/metrics`, OTHER_ADDRESS)).status).toBe(200);
}

describe('a service without authentication', () => {
  useService({}, { flags: ['--http-listen-address', '127.0.0.1:0'] });

  describe('pull secrets that an unauthenticated request names', () => {
    it.each([
      ['/v1/kyverno', kyvernoBody],
      ['/webhook', webhookBody],
    ])('are not read for a Pod that the API server has not shown: %s', async (path, body) => {
      expect((await send(path, body())).status).toBe(200);
      const row = await ended();
      expect(row?.state).toBe('failed');
      expect(row?.failure?.message).toContain('the caller is not authenticated');
      expect(readSecrets()).toEqual([]);
      expect(source.accessLog.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
    });

    it.each([
      ['of another image', { containers: [{ name: 'app', image: 'other.example/app:1' }], ...pull }],
      ['with other pull secrets', { containers: [{ name: 'app', image: 'IMAGE' }], imagePullSecrets: [{ name: 'x' }] }],
      [
        'of another ServiceAccount',
        { containers: [{ name: 'app', image: 'IMAGE' }], ...pull, serviceAccountName: 'x' },
      ],
    ])('are not read for a Pod %s', async (_, spec) => {
      const own = JSON.parse(JSON.stringify(spec).replace('IMAGE', app())) as object;
      api.putPod(namespace, 'web', own);
      api.putPod('another-team', 'web', { containers: [{ name: 'app', image: app() }], ...pull });
      await kyverno();
      expect(await stateOf()).toBe('failed');
      expect(readSecrets()).toEqual([]);
    });
  });

  it('refuses names that are not Kubernetes names as a namespace, and the webhook admits the Pod unchanged', async () => {
    for (const namespace of NO_NAMES) {
      const reply = await send('/v1/kyverno', kyvernoBody({ namespace }));
      expect([reply.status, codeOf(reply)]).toEqual([400, 'invalid_request']);
      const review = (await send('/webhook', webhookBody({ namespace }))).json() as {
        response: { allowed: boolean; warnings: string[]; patch?: string };
      };
      expect(review.response).toMatchObject({
        allowed: true,
        warnings: [expect.stringContaining('is not a Kubernetes name')],
      });
      expect(review.response.patch).toBeUndefined();
    }
    expect(await rows()).toEqual([]);
  });

  it('answers all routes, and the open route of the engine is logged and counted', async () => {
    for (const [path, body] of [
      ['/v1/kyverno', kyvernoBody()],
      ['/webhook', webhookBody()],
      ['/v1/gatekeeper', GATEKEEPER_BODY],
    ] as const) {
      expect((await send(path, body)).status, path).toBe(200);
    }
    const warnings = () => service.log.filter(({ message }) => message.includes('has no authentication'));
    await until('the warning', () => warnings().length > 0);
    expect(warnings()).toHaveLength(1);
    expect(await metric(service, 'image_swapper_open_routes', { route: 'kyverno' })).toBe(1);
    expect(await metric(service, 'image_swapper_open_routes', { route: 'webhook' })).toBe(0);
  });

  it('answers /v1/explain and /v1/mirrors only on loopback', () => expectLoopbackOnly());

  it('answers other callers while some send bodies that do not end', async () => {
    const line = () => service.log.find((one) => one['purpose'] === 'admission' && one['protocol'] === 'http');
    await until('the plain listener is open', () => line() !== undefined);
    const port = Number(String(line()?.['address']).split(':').at(-1));
    const sockets: Socket[] = [];
    const chunk = Buffer.alloc(3_900_000, 'x');
    // The 24 bodies have 94 MB together, and none of them ends.
    for (let index = 0; index < 24; index += 1) {
      const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.3' });
      socket.on('error', () => undefined);
      socket.write(`POST /v1/kyverno HTTP/1.1\r\nHost: a\r\nContent-Length: ${chunk.length + 1}\r\n\r\n`);
      socket.write(chunk);
      sockets.push(socket);
    }
    const busy = () => metric(service, 'image_swapper_resolve_requests_total', { route: 'kyverno', outcome: '503' });
    await until('the share is full', async () => (await busy()) > 0);
    const replies = await Promise.all(Array.from({ length: 20 }, () => send('/v1/kyverno', kyvernoBody())));
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]));
    for (const socket of sockets) socket.destroy();
  });
});

describe('pull secrets of a Pod that the API server shows', () => {
  useService({});

  it('are read for an unauthenticated request', async () => {
    api.putPod(namespace, 'web', { containers: [{ name: 'app', image: app() }], ...pull });
    await kyverno();
    expect(await stateOf()).toBe('done');
    expect(target.manifest(pathOf(source, repository), '1')?.digest).toBe(built.digest);
  });
});

describe('auth.kyverno.secret', () => {
  useService({ auth: { kyverno: { secret: SECRET } } });

  it('is required by /v1/kyverno, as plain text or base64, and closes routes without authentication', async () => {
    for (const headers of [{}, { 'Image-Swapper-Secret': `${SECRET}x` }, { Authorization: `Bearer ${SECRET}` }]) {
      const reply = await kyverno(headers);
      expect([reply.status, codeOf(reply)]).toEqual([401, 'caller_unknown']);
    }
    expect(await rows()).toEqual([]);
    const encoded = Buffer.from(SECRET).toString('base64');
    expect((await kyverno({ 'Image-Swapper-Secret': encoded })).status).toBe(200);
    expect((await kyverno({ 'Image-Swapper-Secret': SECRET })).status).toBe(200);
    expect(await stateOf()).toBe('done');
    for (const [path, body] of [
      ['/webhook', webhookBody()],
      ['/v1/gatekeeper', GATEKEEPER_BODY],
    ] as const) {
      const reply = await send(path, body);
      expect([reply.status, codeOf(reply)]).toEqual([404, 'not_served']);
      expect(reply.text).toContain('server.routes');
    }
    expect(api.reviews).toEqual([]);
    expect(JSON.stringify(service.log)).not.toContain(SECRET);
    expect(JSON.stringify(service.log)).not.toContain(encoded);
  });

  it('never reads invalid Kubernetes names as ServiceAccount or Secret', async () => {
    const spec = {
      imagePullSecrets: NO_NAMES.map((name) => ({ name })),
      serviceAccountName: '../../secrets/pod-secret',
    };
    const headers = { 'Image-Swapper-Secret': SECRET };
    expect((await send('/v1/kyverno', kyvernoBody({ spec }), { headers })).status).toBe(200);
    expect(await stateOf()).toBe('failed');
    expect(readSecrets().filter((path) => path.includes('/namespaces/'))).toEqual([]);
    const warning = () => service.log.find(({ message }) => message.includes('not Kubernetes names'));
    await until('the warning', () => warning() !== undefined);
    expect(warning()).toMatchObject({
      namespace,
      names: expect.arrayContaining(['..']) as unknown,
    });
  });
});

describe('auth.kyverno.token', () => {
  useService({ auth: { kyverno: { token: true } } });

  it("accepts Kyverno's own token and reviews it once", async () => {
    api.putToken(token, ACCOUNT, AUDIENCE);
    const replies = await Promise.all([1, 2, 3].map(() => kyverno(bearer(token))));
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(api.reviews).toEqual([{ token, audiences: [AUDIENCE] }]);
    expect(await stateOf()).toBe('done');
    expect(JSON.stringify(service.log)).not.toContain(token);
  });

  it.each([
    ['of another ServiceAccount', 'system:serviceaccount:team-a:default', AUDIENCE, 403, 'caller_refused'],
    ['for another audience', ACCOUNT, 'https://kubernetes.default.svc', 401, 'caller_unknown'],
    ['that is unknown', undefined, AUDIENCE, 401, 'caller_unknown'],
  ])('refuses a token %s', async (_, user, audience, status, code) => {
    if (user !== undefined) api.putToken(token, user, audience);
    const reply = await kyverno(bearer(token));
    expect([reply.status, codeOf(reply)]).toEqual([status, code]);
    expect((await kyverno()).status).toBe(401);
    expect(api.reviews).toHaveLength(1);
    expect(await rows()).toEqual([]);
  });

  // The last case: the API server keeps refusing.
  it('answers 503 while the API server does not review tokens', async () => {
    api.refuse('/apis/authentication.k8s.io/v1/tokenreviews', 403);
    const reply = await kyverno(bearer(token));
    expect([reply.status, codeOf(reply)]).toEqual([503, 'token_review_failed']);
    expect(reply.text).toContain('grant the service the verb create on tokenreviews');
    expect(reply.text).not.toContain(token);
  });
});

describe('auth.kyverno.tokenRequired: false', () => {
  useService({ auth: { kyverno: { token: true, tokenRequired: false } } });

  // The first cases: the service has not read a secret yet.
  it.each([
    ['no token', undefined, () => ({})],
    ['an unknown token', undefined, () => bearer(token)],
    ['a token of another ServiceAccount', 'system:serviceaccount:team-a:default', () => bearer(token)],
  ])('answers a caller with %s, and reads no pull secrets for it', async (_, user, headers) => {
    if (user !== undefined) api.putToken(token, user, AUDIENCE);
    expect((await kyverno(headers())).status).toBe(200);
    expect(await stateOf()).toBe('failed');
    expect(readSecrets()).toEqual([]);
  });

  it("trusts the holder of Kyverno's token and closes no route", async () => {
    api.putToken(token, ACCOUNT, AUDIENCE);
    expect((await kyverno(bearer(token))).status).toBe(200);
    expect(await stateOf()).toBe('done');
    expect((await send('/webhook', webhookBody())).status).toBe(200);
    const warnings = () =>
      service.log.filter(({ message }) => message.includes('also answers callers without a token'));
    await until('the warning', () => warnings().length > 0);
    expect(warnings()).toHaveLength(1);
    expect(await metric(service, 'image_swapper_open_routes', { route: 'kyverno' })).toBe(1);
  });

  // The last case: the API server keeps refusing.
  it('answers while the API server does not review tokens, which is asked once and logged once', async () => {
    api.refuse('/apis/authentication.k8s.io/v1/tokenreviews', 403);
    for (const word of ['token-a', 'token-b', 'token-c']) expect((await kyverno(bearer(word))).status).toBe(200);
    expect(await stateOf()).toBe('failed');
    expect(readSecrets()).toEqual([]);
    const asked = api.requests.filter(({ path }) => path.endsWith('/tokenreviews'));
    expect(asked).toHaveLength(1);
    const lines = service.log.filter(({ message }) => message.includes('token cannot be checked'));
    expect(lines.map(({ level }) => level)).toEqual(['warn']);
    expect(JSON.stringify(lines)).not.toContain('token-a');
  });
});

describe('auth.webhook.path', () => {
  useService({ auth: { webhook: { path: PATH } }, policies: { engine: 'webhook' } });

  it('is the only path of the webhook, and is in no log and no metric', async () => {
    for (const path of ['/webhook', '/webhook/', `/webhook/${PATH.replace('0', '1')}`, '/webhook/abc/def']) {
      const reply = await send(path, webhookBody());
      expect([reply.status, codeOf(reply)], path).toEqual([401, 'caller_unknown']);
    }
    for (const path of [`/webhook/${PATH}`, `/webhook/${PATH}/0123456789ab`]) {
      expect((await send(path, webhookBody())).status, path).toBe(200);
    }
    expect(await stateOf()).toBe('done');
    expect((await send('/v1/kyverno', kyvernoBody())).status).toBe(404);
    expect(JSON.stringify(service.log)).not.toContain(PATH);
    expect((await get(`${service.operations}/metrics`)).text).not.toContain(PATH);
  });
});

describe('server.routes', () => {
  useService({ server: { routes: ['webhook'] }, policies: { engine: 'webhook' } }, { cluster: false });

  it('lists the served routes', async () => {
    expect((await send('/webhook', webhookBody())).status).toBe(200);
    const reply = await send('/v1/kyverno', kyvernoBody());
    expect([reply.status, codeOf(reply)]).toEqual([404, 'not_served']);
    expect(reply.text).toContain('server.routes does not contain it');
  });
});

describe('auth.explain.secret', () => {
  useService({ auth: { explain: { secret: SECRET } } }, { cluster: false });

  it.each([
    ['without the secret', {}],
    ['with another secret', { 'Image-Swapper-Secret': `${SECRET}x` }],
  ])('opens /v1/explain and /v1/mirrors only to loopback %s', (_, headers) => expectLoopbackOnly(headers));

  it('opens them to a caller with the secret', async () => {
    const replies = await Promise.all(explanations({ ...OTHER_ADDRESS, headers: { 'Image-Swapper-Secret': SECRET } }));
    expect(replies.map(({ status }) => status)).toEqual([200, 200]);
    // The secret does not change access to other routes.
    expect((await send('/webhook', webhookBody())).status).toBe(200);
  });
});
