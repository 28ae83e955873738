import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openClouds } from '../../../extension-service/src/kinds/clouds.js';
import type { CloudRegistry } from '../../../extension-service/src/kinds/cloud.js';
import { EcrControl } from '../../fakes/ecr-control.js';
import { repositoryArn } from '../../fakes/ecr-repositories.js';
import { ACCOUNT, REGION } from '../../fakes/ecr-world.js';
import { parse } from '../../unit/config/parsing.js';

/** `gc` in ECR, which deletes images with ECR's API. The tests check the calls and the remaining images. */

const REPOSITORY = 'mirror/docker.io/library/app';
const ARN = repositoryArn(ACCOUNT, REGION, REPOSITORY);
const digest = (n: number): string => `sha256:${n.toString(16).padStart(64, '0')}`;
const { config } = parse(`target: {type: aws, aws: {accountId: "${ACCOUNT}", region: ${REGION}, prefix: mirror}}`);

let control: EcrControl;
let registry: CloudRegistry;

beforeEach(async () => {
  control = await EcrControl.start();
  control.repositories.create(ACCOUNT, REGION, REPOSITORY, {});
  const env = { ...control.env, ...control.userEnv };
  // The SDK reads the environment of the process.
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const open = openClouds({ env, onEvent: () => undefined, report: () => undefined });
  const found = config.target && open(config.target, 'target default');
  if (found === undefined) throw new Error('no registry of a cloud');
  registry = found;
});
afterEach(async () => {
  registry.stop();
  vi.unstubAllEnvs();
  await control.close();
});

const remove = (...digests: readonly string[]): Promise<void> | undefined =>
  registry.repositories?.remove?.(REPOSITORY, digests, AbortSignal.timeout(60_000));
const sizes = (): number[] =>
  control.calls('BatchDeleteImage').map(({ parameters }) => (parameters['imageIds'] as readonly unknown[]).length);

describe('images that gc deletes from ECR', () => {
  it('are deleted by digest with all their tags, at most 100 per call', async () => {
    const digests = Array.from({ length: 203 }, (_, n) => digest(n));
    digests.forEach((one, n) => control.images.pushed(ARN, one, n === 0 ? '1.27' : undefined));
    control.images.pushed(ARN, digest(0), 'latest');
    control.images.pushed(ARN, digest(999), 'used');
    await remove(...digests);
    expect(sizes()).toEqual([100, 100, 3]);
    expect(control.images.list(ARN).map(({ imageTags }) => imageTags)).toEqual([['used']]);
  });

  it('count as deleted when they do not exist', async () => {
    await remove(digest(1), digest(2));
    expect(sizes()).toEqual([2]);
  });

  it('fail with the reason of ECR when it keeps one', async () => {
    control.images.pushed(ARN, digest(1), undefined);
    control.images.keeps.add(digest(1));
    await expect(remove(digest(1))).rejects.toThrow(
      `ecr:BatchDeleteImage on ${ARN} failed: ImageReferencedByManifestList: ${digest(1)} is kept`,
    );
  });

  it('fail with the statement that the identity needs when it may not delete', async () => {
    control.fault({ action: 'BatchDeleteImage', fault: { type: 'denied' } });
    const failure = await remove(digest(1))?.catch((error: unknown) => error);
    expect(failure).toMatchObject({ kind: 'forbidden', retryable: false });
    expect(String(failure)).toContain('"Action":"ecr:BatchDeleteImage"');
  });
});
