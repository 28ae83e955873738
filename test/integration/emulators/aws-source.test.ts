import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { controlView } from '../../fakes/ecr-control-view.js';
import { EcrGate, refuseLogins } from '../../fakes/ecr-gate.js';
import { ACCOUNT, EcrWorld } from '../../fakes/ecr-world.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { FakeRegistry } from '../../fakes/registry.js';
import { until } from '../../fakes/until.js';

let world: EcrWorld;

beforeEach(async () => {
  world = await EcrWorld.start();
});
afterEach(async () => {
  await world.close();
});

describe('ECR as a source', () => {
  const SOURCE_ACCOUNT = '210987654321';
  const SOURCE_HOST = `${SOURCE_ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com`;
  const PULL_ROLE = `arn:aws:iam::${SOURCE_ACCOUNT}:role/pull`;

  it('reads another account’s registry and writes the target, each with its own role', async () => {
    await world.close();
    world = await EcrWorld.start({ control: { roles: [{ arn: PULL_ROLE }] }, hosts: { [SOURCE_HOST]: undefined } });
    const image = buildImage({ layerSize: 1_000 });
    loadImage(world.source, 'team/app', image, '3.1');
    world.proxy.setBackend(SOURCE_HOST, world.source.origin);
    const seen: (string | undefined)[] = [];
    world.proxy.setHook(SOURCE_HOST, ({ headers }) => {
      const [, encoded = ''] = (headers.authorization ?? '').split(' ');
      const token = world.control.tokens.find(Buffer.from(encoded, 'base64').toString().slice('AWS:'.length));
      seen.push(token?.arn);
      if (token?.arn.includes(`${SOURCE_ACCOUNT}:assumed-role/pull`) === true) return undefined;
      return {
        status: 401,
        headers: { 'www-authenticate': `Basic realm="https://${SOURCE_HOST}/",service="ecr.amazonaws.com"` },
      };
    });
    const source = {
      registries: [{ type: 'aws', aws: { accountId: SOURCE_ACCOUNT, region: 'us-east-1', role: PULL_ROLE } }],
    };
    const service = await world.serve(world.config({}, { source }));
    const asked = `${SOURCE_HOST}/team/app:3.1`;
    expect(await world.mirror(service, asked)).toMatchObject({ state: 'done' });
    expect(world.target.manifest(`mirror/${SOURCE_HOST}/team/app`, '3.1')?.digest).toBe(image.digest);
    expect(new Set(seen)).toEqual(
      new Set([undefined, `arn:aws:sts::${SOURCE_ACCOUNT}:assumed-role/pull/image-swapper`]),
    );
    // Each login uses the identity and region of its registry, and is sent only to this registry.
    const logins = world.control.calls('GetAuthorizationToken').map(({ arn, region }) => [arn, region]);
    expect(logins.sort()).toEqual([
      [`arn:aws:iam::${ACCOUNT}:user/mirror`, 'eu-central-1'],
      [`arn:aws:sts::${SOURCE_ACCOUNT}:assumed-role/pull/image-swapper`, 'us-east-1'],
    ]);
  });

  it('reads ECR Public with a separate login, exchanged for a token', async () => {
    const PUBLIC = 'public.ecr.aws';
    await world.close();
    world = await EcrWorld.start({ hosts: { [PUBLIC]: undefined } });
    const image = buildImage({ layerSize: 1_000 });
    loadImage(world.source, 'nginx/nginx', image, 'stable');
    world.proxy.setBackend(PUBLIC, world.source.origin);
    const exchanges: (string | undefined)[] = [];
    world.proxy.setHook(PUBLIC, ({ path, headers }) => {
      if (path === '/token/') {
        const [, encoded = ''] = (headers.authorization ?? '').split(' ');
        exchanges.push(
          world.control.tokens.find(Buffer.from(encoded, 'base64').toString().slice('AWS:'.length))?.region,
        );
        return { status: 200, headers: { 'content-type': 'application/json' }, body: '{"token":"public-token"}' };
      }
      if (headers.authorization === 'Bearer public-token') return undefined;
      const challenge = `Bearer realm="https://${PUBLIC}/token/",service="${PUBLIC}",scope="aws"`;
      return { status: 401, headers: { 'www-authenticate': challenge } };
    });
    const source = { registries: [{ type: 'aws', aws: { public: true } }] };
    const service = await world.serve(world.config({}, { source }));
    expect(await world.mirror(service, `${PUBLIC}/nginx/nginx:stable`)).toMatchObject({ state: 'done' });
    expect(world.target.manifest(`mirror/${PUBLIC}/nginx/nginx`, 'stable')?.digest).toBe(image.digest);
    expect(new Set(exchanges)).toEqual(new Set(['public']));
    expect(world.control.log.find(({ service: of }) => of === 'ecr-public')).toMatchObject({ region: 'us-east-1' });
  });

  it('reads layers from S3, which never receives the login', async () => {
    const BUCKET = 'prod-us-east-1-starport-layer-bucket.s3.us-east-1.amazonaws.com';
    await world.close();
    world = await EcrWorld.start({ hosts: { [SOURCE_HOST]: undefined, [BUCKET]: undefined } });
    const image = buildImage({ layerSize: 50_000 });
    loadImage(world.source, 'team/app', image, '3.1');
    const { control, proxy } = world;
    control.repositories.create(SOURCE_ACCOUNT, 'us-east-1', 'team/app', {});
    for (const host of [SOURCE_HOST, BUCKET]) proxy.setBackend(host, world.source.origin);
    const backend = world.source.origin;
    const gate = new EcrGate({ host: SOURCE_HOST, control: controlView(control), backend, blobHost: BUCKET });
    proxy.setHook(SOURCE_HOST, gate.hook);
    proxy.setHook(BUCKET, refuseLogins);
    const source = { registries: [{ type: 'aws', aws: { accountId: SOURCE_ACCOUNT, region: 'us-east-1' } }] };
    const service = await world.serve(world.config({}, { source }));
    expect(await world.mirror(service, `${SOURCE_HOST}/team/app:3.1`)).toMatchObject({ state: 'done' });
    const read = proxy.log.filter(({ host }) => host === BUCKET);
    expect(read).toHaveLength(image.blobs.length);
    expect(read.every(({ authorization, status }) => authorization === undefined && status === 200)).toBe(true);
  });
});

it('an AWS login is never sent to a registry that a Pod names, whatever it requests', async () => {
  const hostile = await FakeRegistry.start({ auth: { type: 'basic', users: { nobody: 'knows' } } });
  try {
    const registries = [{ type: 'oci', oci: { registry: hostile.host, insecure: true } }];
    const service = await world.serve(world.config({}, { source: { registries } }));
    await until('the login is there', () => world.control.calls('GetAuthorizationToken').length === 1);
    expect(await world.mirror(service, `${hostile.host}/app:1`)).toMatchObject({ failure: { reason: 'unauthorized' } });
    expect(hostile.accessLog.length).toBeGreaterThan(0);
    expect(hostile.accessLog.map(({ authorization }) => authorization)).toEqual(hostile.accessLog.map(() => undefined));
  } finally {
    await hostile.close();
  }
});
