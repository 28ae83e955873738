import { createHash, randomBytes } from 'node:crypto';
import { ProxyAgent, request, type Dispatcher } from 'undici';
import { afterEach, describe, expect, it } from 'vitest';
import { controlView } from '../../fakes/ecr-control-view.js';
import { EcrControl } from '../../fakes/ecr-control.js';
import { EcrGate, refuseLogins, type EcrGateOptions } from '../../fakes/ecr-gate.js';
import type { RepositorySettings } from '../../fakes/ecr-repositories.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { TlsProxy } from '../../fakes/tls-proxy.js';

/** The behavior of the fake ECR registry on which tests rely, checked with a registry client. */

const region = 'eu-central-1';
const HOST = `123456789012.dkr.ecr.${region}.amazonaws.com`;
const BLOBS = `prod-${region}-starport-layer-bucket.s3.${region}.amazonaws.com`;
const ARN = 'arn:aws:iam::123456789012:user/mirror';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

interface Sent {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH';
  readonly body?: string | Buffer;
  /** The password of the login; undefined sends no login. */
  readonly password?: string | undefined;
}

class Ecr {
  constructor(
    readonly control: EcrControl,
    readonly registry: FakeRegistry,
    readonly proxy: TlsProxy,
    readonly gate: EcrGate,
    private readonly dispatcher: Dispatcher,
  ) {}

  static async start(options: Partial<EcrGateOptions> = {}): Promise<Ecr> {
    const [control, registry] = [await EcrControl.start(), await FakeRegistry.start()];
    const proxy = await TlsProxy.start({ hosts: { [HOST]: registry.origin, [BLOBS]: registry.origin } });
    const gate = new EcrGate({ host: HOST, control: controlView(control), backend: registry.origin, ...options });
    proxy.setHook(HOST, gate.hook);
    proxy.setHook(BLOBS, refuseLogins);
    const dispatcher = new ProxyAgent({ uri: proxy.url, requestTls: { ca: proxy.ca } });
    cleanups.push(
      () => control.close(),
      () => registry.close(),
      () => proxy.close(),
      () => dispatcher.destroy(),
    );
    return new Ecr(control, registry, proxy, gate, dispatcher);
  }

  repository(name: string, settings: RepositorySettings = {}): void {
    this.control.repositories.create('123456789012', region, name, settings);
  }

  login(): string {
    const { authorizationToken } = this.control.tokens.issue(ARN, region);
    return Buffer.from(authorizationToken, 'base64').toString().replace('AWS:', '');
  }

  async send(path: string, { method = 'GET', body, password }: Sent = {}): Promise<Answer> {
    const url = path.startsWith('https:') ? path : `https://${HOST}${path}`;
    const authorization = `Basic ${Buffer.from(`AWS:${password ?? ''}`).toString('base64')}`;
    const headers = {
      accept: MANIFEST,
      ...(password !== undefined && { authorization }),
      ...(path.includes('/manifests/') && { 'content-type': MANIFEST }),
    };
    const { dispatcher } = this;
    const answer = await request(url, { dispatcher, method, headers, ...(body !== undefined && { body }) });
    return { status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
  }

  async pushBlob(repository: string, content: Buffer, password: string): Promise<string> {
    const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
    const begun = await this.send(`/v2/${repository}/blobs/uploads/`, { method: 'POST', password });
    const location = `${String(begun.headers['location'])}&digest=${digest}`;
    expect((await this.send(location, { method: 'PUT', body: content, password })).status).toBe(201);
    return digest;
  }

  async pushManifest(repository: string, reference: string, digest: string, password: string): Promise<Answer> {
    const descriptor = { mediaType: 'application/octet-stream', digest, size: 1 };
    const body = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: descriptor, layers: [] });
    return this.send(`/v2/${repository}/manifests/${reference}`, { method: 'PUT', body, password });
  }
}

const errorsOf = ({ text }: Answer): unknown => (JSON.parse(text) as { errors: unknown }).errors;

describe('logins', () => {
  it('are required for every request, and are tokens of the control plane', async () => {
    const ecr = await Ecr.start();
    for (const password of [undefined, 'guessed']) {
      const answer = await ecr.send('/v2/', { password });
      expect([answer.status, answer.text]).toEqual([401, '']);
      expect(answer.headers['www-authenticate']).toBe(`Basic realm="https://${HOST}/",service="ecr.amazonaws.com"`);
    }
    const password = ecr.login();
    expect((await ecr.send('/v2/', { password })).status).toBe(200);
    ecr.control.tokens.expireAll();
    const expired = await ecr.send('/v2/', { password });
    expect(expired.status).toBe(403);
    expect(errorsOf(expired)).toEqual([
      { code: 'DENIED', message: 'Your authorization token has expired. Reauthenticate and try again.' },
    ]);
  });

  it('can lack permission for an action', async () => {
    const ecr = await Ecr.start({ allows: (_arn, action) => action !== 'InitiateLayerUpload' });
    ecr.repository('app');
    const answer = await ecr.send('/v2/app/blobs/uploads/', { method: 'POST', password: ecr.login() });
    expect(answer.status).toBe(403);
    expect(errorsOf(answer)).toMatchObject([
      {
        code: 'DENIED',
        message: expect.stringContaining(`${ARN} is not authorized to perform: ecr:Initiate`) as string,
      },
    ]);
  });
});

describe('repositories', () => {
  it('must exist at the control plane', async () => {
    const ecr = await Ecr.start();
    const password = ecr.login();
    const unknown = [
      {
        code: 'NAME_UNKNOWN',
        message: "The repository with name 'team/app' does not exist in the registry with id '123456789012'",
      },
    ];
    const upload = { method: 'POST', password } as const;
    expect(errorsOf(await ecr.send('/v2/team/app/blobs/uploads/', upload))).toEqual(unknown);
    expect(errorsOf(await ecr.send('/v2/team/app/manifests/v1', { password }))).toEqual(unknown);
    expect((await ecr.send('/v2/team/app/manifests/v1', { method: 'HEAD', password })).status).toBe(404);
    ecr.repository('team/app');
    expect(errorsOf(await ecr.send('/v2/team/app/manifests/v1', { password }))).toMatchObject([
      { code: 'MANIFEST_UNKNOWN' },
    ]);
    const digest = await ecr.pushBlob('team/app', Buffer.from('content'), password);
    expect((await ecr.pushManifest('team/app', 'v1', digest, password)).status).toBe(201);
    expect((await ecr.send('/v2/team/app/manifests/v1', { method: 'HEAD', password })).status).toBe(200);
    expect(ecr.registry.tags('team/app')).toEqual(['v1']);
    expect(ecr.gate.log.map(({ action, status }) => [action, status])).toEqual([
      ['InitiateLayerUpload', 404],
      ['BatchGetImage', 404],
      ['BatchGetImage', 404],
      ['BatchGetImage', 404],
      ['InitiateLayerUpload', 202],
      ['UploadLayerPart', 201],
      ['CompleteLayerUpload', 201],
      ['PutImage', 201],
      ['BatchGetImage', 200],
    ]);
    expect(new Set(ecr.gate.log.map(({ arn }) => arn))).toEqual(new Set([ARN]));
  });

  it('are created by a push if a creation template allows it', async () => {
    const ecr = await Ecr.start({ createOnPush: true });
    await ecr.pushBlob('team/app', Buffer.from('content'), ecr.login());
    expect(ecr.control.repositories.find('123456789012', region, 'team/app')).toBeDefined();
  });

  it('have names that ECR allows', async () => {
    const ecr = await Ecr.start();
    const password = ecr.login();
    expect((await ecr.send('/v2/a__b/manifests/v1', { password })).status).toBe(400);
    expect((await ecr.send('/v2/a--b/blobs/uploads/', { method: 'POST', password })).status).toBe(405);
  });
});

describe('tags', () => {
  it.each<[string, RepositorySettings, string, string | undefined]>([
    ['may be moved in MUTABLE', { imageTagMutability: 'MUTABLE' }, 'v1', undefined],
    ['may not be moved in IMMUTABLE', { imageTagMutability: 'IMMUTABLE' }, 'v1', 'repository'],
    [
      'may be moved when they are excluded from IMMUTABLE',
      {
        imageTagMutability: 'IMMUTABLE_WITH_EXCLUSION',
        imageTagMutabilityExclusionFilters: [{ filterType: 'WILDCARD', filter: 'latest*' }],
      },
      'latest-1',
      undefined,
    ],
    [
      'may not be moved when they are excluded from MUTABLE',
      {
        imageTagMutability: 'MUTABLE_WITH_EXCLUSION',
        imageTagMutabilityExclusionFilters: [{ filterType: 'WILDCARD', filter: 'v*' }],
      },
      'v1',
      'tag',
    ],
  ])('%s', async (_what, settings, tag, immutable) => {
    const ecr = await Ecr.start();
    ecr.repository('app', settings);
    const password = ecr.login();
    const [first, second] = [
      await ecr.pushBlob('app', Buffer.from('first'), password),
      await ecr.pushBlob('app', Buffer.from('second'), password),
    ];
    expect((await ecr.pushManifest('app', tag, first, password)).status).toBe(201);
    // ECR also refuses the same image.
    for (const digest of [first, second]) {
      const again = await ecr.pushManifest('app', tag, digest, password);
      if (immutable === undefined) {
        expect(again.status).toBe(201);
        continue;
      }
      expect(again.status).toBe(400);
      expect(errorsOf(again)).toEqual([
        {
          code: 'TAG_INVALID',
          message: `The image tag '${tag}' already exists in the 'app' repository and cannot be overwritten because the ${immutable} is immutable.`,
        },
      ]);
    }
  });

  it('that are immutable are set once, however many clients push', async () => {
    const ecr = await Ecr.start();
    ecr.repository('app', { imageTagMutability: 'IMMUTABLE' });
    const password = ecr.login();
    const digest = await ecr.pushBlob('app', Buffer.from('content'), password);
    const answers = await Promise.all(Array.from({ length: 5 }, () => ecr.pushManifest('app', 'v1', digest, password)));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 400, 400, 400, 400]);
  });
});

describe('mounts', () => {
  const mount = async (ecr: Ecr, digest: string, password: string): Promise<number> =>
    (await ecr.send(`/v2/copy/blobs/uploads/?mount=${digest}&from=app`, { method: 'POST', password })).status;

  it('need the account’s setting and a manifest that refers to the blob, and fall back to an upload', async () => {
    const ecr = await Ecr.start();
    ecr.repository('app');
    ecr.repository('copy');
    const password = ecr.login();
    const digest = await ecr.pushBlob('app', Buffer.from('content'), password);
    expect(await mount(ecr, digest, password)).toBe(202);
    ecr.control.settings.set('BLOB_MOUNTING', 'ENABLED');
    expect(await mount(ecr, digest, password)).toBe(202);
    await ecr.pushManifest('app', 'v1', digest, password);
    expect(await mount(ecr, digest, password)).toBe(201);
    expect(ecr.registry.blob(digest, 'copy')).toBeDefined();
    expect(ecr.gate.mounts).toEqual({ asked: 3, granted: 1 });
  });

  it('require the same encryption', async () => {
    const ecr = await Ecr.start();
    ecr.control.settings.set('BLOB_MOUNTING', 'ENABLED');
    ecr.repository('app');
    ecr.repository('copy', { encryptionConfiguration: { encryptionType: 'KMS' } });
    const image = buildImage();
    loadImage(ecr.registry, 'app', image, 'v1');
    for (const { bytes } of image.manifests) ecr.gate.learn('app', Buffer.from(bytes));
    expect(await mount(ecr, image.blobs[0]?.digest ?? '', ecr.login())).toBe(202);
  });
});

describe('quotas', () => {
  it('count each action separately and answer 429 beyond the burst', async () => {
    const ecr = await Ecr.start({ rates: { PutImage: 3 } });
    ecr.repository('app');
    const password = ecr.login();
    const digest = await ecr.pushBlob('app', Buffer.from('content'), password);
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, i) => ecr.pushManifest('app', `v${i}`, digest, password)),
    );
    const refused = answers.filter(({ status }) => status === 429);
    // At least the burst is accepted, and more of them the longer the requests take.
    expect(answers.length - refused.length).toBeGreaterThanOrEqual(3);
    expect(refused.length).toBeGreaterThan(0);
    expect(errorsOf(refused[0] ?? { status: 0, headers: {}, text: '' })).toEqual([
      { code: 'TOOMANYREQUESTS', message: 'Rate exceeded' },
    ]);
    expect([ecr.gate.count('PutImage'), ecr.gate.throttled('PutImage')]).toEqual([30, refused.length]);
    expect(ecr.gate.throttled('InitiateLayerUpload')).toBe(0);
  });
});

describe('blobs', () => {
  it('stream through in both directions', async () => {
    const ecr = await Ecr.start();
    ecr.repository('app');
    const password = ecr.login();
    const content = randomBytes(5_000_000);
    const digest = await ecr.pushBlob('app', content, password);
    const answer = await ecr.send(`/v2/app/blobs/${digest}`, { method: 'HEAD', password });
    expect(answer.headers['content-length']).toBe('5000000');
    expect([ecr.gate.count('BatchCheckLayerAvailability'), ecr.gate.count('UploadLayerPart')]).toEqual([1, 1]);
  });

  it('are read from S3, which accepts no login', async () => {
    const ecr = await Ecr.start({ blobHost: BLOBS });
    ecr.repository('app');
    const password = ecr.login();
    const digest = await ecr.pushBlob('app', Buffer.from('content'), password);
    const { status, headers } = await ecr.send(`/v2/app/blobs/${digest}`, { password });
    expect(status).toBe(307);
    const location = String(headers['location']);
    expect(location).toMatch(new RegExp(`^https://${BLOBS}/`));
    expect((await ecr.send(location, { password })).status).toBe(400);
    expect(await ecr.send(location)).toMatchObject({ status: 200, text: 'content' });
  });
});
