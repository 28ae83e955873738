import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import {
  DescribeRepositoriesCommand,
  ECRClient,
  GetLifecyclePolicyCommand,
  GetRepositoryPolicyCommand,
  ListTagsForResourceCommand,
} from '@aws-sdk/client-ecr';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { pushImage } from '../../bench/push-image.js';
import { ECR_RATES, EcrGate } from '../../fakes/ecr-gate.js';
import {
  ACCOUNT,
  accessPolicy as pullPolicy,
  ECR_HOST,
  EcrWorld,
  lifecyclePolicy,
  REGION,
} from '../../fakes/ecr-world.js';
import { post } from '../../fakes/https-client.js';
import { buildImage, loadImage } from '../../fakes/images.js';
import { motoView } from '../../fakes/moto-view.js';
import { RealRegistry } from '../../fakes/real-registry.js';
import { RunningService } from '../../fakes/service.js';
import { TlsProxy } from '../../fakes/tls-proxy.js';
import { Moto, motoAvailable } from '../../tools/moto.js';
import { craneProgram } from '../../tools/crane.js';
import { goToolsAvailable } from '../../tools/tool.js';
import { until } from '../../fakes/until.js';

/**
 * The built service with moto's control plane and a real registry behind ECR's login, and many replicas with quotas.
 */

const run = promisify(execFile);
const available = (await motoAvailable('ECR with moto')) && (await goToolsAvailable('ECR with a real registry'));
const ROLE = `arn:aws:iam::${ACCOUNT}:role/mirror`;
const accessPolicy = pullPolicy();
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe.skipIf(!available)('ECR, emulated by moto and a real registry', () => {
  let moto: Moto;
  let crane: string;

  beforeAll(async () => {
    crane = await craneProgram();
    moto = await Moto.start();
  }, 900_000);
  afterAll(() => moto.stop());

  it('a cold image: role, login, repository with every option, policies, and the same bytes for another client', async () => {
    await moto.reset();
    const [source, target] = await Promise.all([RealRegistry.start(), RealRegistry.start()]);
    cleanups.push(
      () => source.stop(),
      () => target.stop(),
    );
    const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'], layerSize: 100_000 });
    await pushImage(source.host, 'team/app', image, '1.0');
    const proxy = await TlsProxy.start({ hosts: { [ECR_HOST]: `http://${target.host}` } });
    cleanups.push(() => proxy.close());
    const gate = new EcrGate({ host: ECR_HOST, control: motoView(moto), backend: `http://${target.host}` });
    proxy.setHook(ECR_HOST, gate.hook);
    const service = await RunningService.start({
      plain: true,
      env: { ...moto.env, ...proxy.env, AWS_ACCESS_KEY_ID: 'AKIATESTUSER00000001', AWS_SECRET_ACCESS_KEY: 'secret' },
      config: stringify({
        target: {
          type: 'aws',
          aws: {
            accountId: ACCOUNT,
            region: REGION,
            role: ROLE,
            prefix: 'mirror',
            ecrOptions: {
              tags: [{ key: 'team', value: 'platform' }],
              imageTagMutability: 'IMMUTABLE_WITH_EXCLUSION',
              imageTagMutabilityExclusionFilters: [{ filter: 'latest*' }],
              imageScanningConfiguration: { imageScanOnPush: true },
              encryptionConfiguration: { encryptionType: 'KMS_DSSE', kmsKey: 'alias/mirror' },
              accessPolicy,
              lifecyclePolicy,
            },
          },
        },
        source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true } }] },
      }),
    });
    cleanups.push(() => service.stop());

    const asked = `${source.host}/team/app:1.0`;
    const repositoryName = `mirror/${source.host.replace(':', '_')}/team/app`;
    await until(
      'the image is mirrored and swapped',
      async () => (await admit(service, asked)) === `${ECR_HOST}/${repositoryName}:1.0`,
    );
    const { stdout } = await run(crane, ['digest', '--insecure', `${target.host}/${repositoryName}:1.0`]);
    expect(stdout.trim()).toBe(image.digest);
    for (const { digest } of image.blobs) {
      const blob = `${target.host}/${repositoryName}@${digest}`;
      const read = await run(crane, ['blob', '--insecure', blob], { encoding: 'buffer', maxBuffer: 10_000_000 });
      expect(`sha256:${createHash('sha256').update(read.stdout).digest('hex')}`).toBe(digest);
    }

    // A separate client reads the content of moto.
    await until('the policies are set', () => moto.calls('TagResource').length === 1);
    const ecr = new ECRClient({
      endpoint: moto.direct,
      region: REGION,
      credentials: { accessKeyId: 'AKIATESTUSER00000001', secretAccessKey: 'secret' },
    });
    cleanups.push(() => ecr.destroy());
    const { repositories = [] } = await ecr.send(new DescribeRepositoriesCommand({}));
    expect(repositories).toMatchObject([
      {
        repositoryName,
        imageTagMutability: 'IMMUTABLE_WITH_EXCLUSION',
        imageTagMutabilityExclusionFilters: [{ filterType: 'WILDCARD', filter: 'latest*' }],
        imageScanningConfiguration: { scanOnPush: true },
        encryptionConfiguration: { encryptionType: 'KMS_DSSE', kmsKey: 'alias/mirror' },
      },
    ]);
    const policy = await ecr.send(new GetRepositoryPolicyCommand({ repositoryName }));
    expect(JSON.parse(policy.policyText ?? '')).toEqual(JSON.parse(accessPolicy));
    const lifecycle = await ecr.send(new GetLifecyclePolicyCommand({ repositoryName }));
    expect(JSON.parse(lifecycle.lifecyclePolicyText ?? '')).toEqual(JSON.parse(lifecyclePolicy));
    const resourceArn = repositories[0]?.repositoryArn ?? '';
    const { tags = [] } = await ecr.send(new ListTagsForResourceCommand({ resourceArn }));
    expect(Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value]))).toEqual({
      team: 'platform',
      'image-swapper.io/policies': expect.stringMatching(/^[0-9a-f]{32}$/) as unknown,
    });
    const actions = moto.log.map(({ action }) => action);
    // On a slow machine, the sweep, which begins 15 s after the start, looks at the repository as well.
    const looks = actions.includes('DescribeRepositories') ? ['DescribeRepositories', 'ListTagsForResource'] : [];
    expect(actions.filter((action) => !looks.includes(action)).sort()).toEqual([
      'AssumeRole',
      'CreateRepository',
      'GetAuthorizationToken',
      'PutLifecyclePolicy',
      'SetRepositoryPolicy',
      'TagResource',
    ]);
  }, 180_000);
});

describe('three replicas, a hundred images, twenty repositories, AWS’s quotas', () => {
  it('copy every image, create each repository once, and report no throttling', async () => {
    const world = await EcrWorld.start({
      control: { rates: { CreateRepository: 5, SetRepositoryPolicy: 5, TagResource: 5 } },
      gate: { rates: ECR_RATES },
    });
    cleanups.push(() => world.close());
    const images = Array.from({ length: 100 }, (_, index) => {
      const image = buildImage({ platforms: ['linux/amd64'], layersPerPlatform: 2, layerSize: 2_000, seed: index });
      const [name, tag] = [`app${index % 20}`, `v${Math.floor(index / 20)}`];
      loadImage(world.source, name, image, tag);
      return { asked: `${world.source.host}/${name}:${tag}`, name, tag, digest: image.digest };
    });
    const config = world.config({ ecrOptions: { accessPolicy } }, { mirror: { concurrency: 8 } });
    const replicas = await Promise.all([1, 2, 3].map(() => world.serve(config)));

    // Each Pod is sent to one replica, as a Service distributes requests. Every tenth Pod is sent to all replicas.
    await Promise.all(
      images.flatMap(({ asked }, index) => {
        const one = replicas[index % 3];
        const asks = index % 10 === 0 ? replicas : one === undefined ? [] : [one];
        return asks.map((replica) => world.admit(replica, asked));
      }),
    );
    const missing = (): number =>
      images.filter(({ name, tag, digest }) => world.target.manifest(world.repository(name), tag)?.digest !== digest)
        .length;
    await until('all images are there', () => missing() === 0, 400);
    await until('all copies have ended well', async () =>
      (await Promise.all(replicas.map((replica) => world.mirrors(replica))))
        .flat()
        .every(({ state }) => state === 'done'),
    );

    const created = world.control.calls('CreateRepository');
    const byName = new Map<unknown, string[]>();
    for (const { parameters, outcome } of created) {
      const name = parameters['repositoryName'];
      byName.set(name, [...(byName.get(name) ?? []), outcome ?? '']);
    }
    expect(byName.size).toBe(20);
    for (const outcomes of byName.values()) expect(outcomes.filter((outcome) => outcome === 'ok')).toHaveLength(1);
    const others = created.map(({ outcome }) => outcome).filter((outcome) => outcome !== 'ok');
    expect(new Set(others)).not.toContain('AccessDeniedException');
    const rows = (await Promise.all(replicas.map((replica) => world.mirrors(replica)))).flat();
    expect(rows.filter(({ failure }) => failure !== undefined)).toEqual([]);
    for (const { log } of replicas) {
      expect(
        log.filter(({ level, message }) => /warn|error/.test(level) && /thrott|rate exceeded/i.test(message)),
      ).toEqual([]);
    }
    process.stdout.write(
      `PutImage: ${world.gate.count('PutImage')} requests, ${world.gate.throttled('PutImage')} answered 429; ` +
        `CreateRepository: ${created.length} calls\n`,
    );
  });
});

async function admit(service: RunningService, image: string): Promise<string | undefined> {
  const object = { spec: { containers: [{ name: 'app', image }] } };
  const body = JSON.stringify({ request: { operation: 'CREATE', namespace: 'default', object } });
  const reply = await post(`${service.url}/v1/kyverno`, body);
  return (reply.json() as { images: { containers?: { app?: string } } }).images.containers?.app;
}
