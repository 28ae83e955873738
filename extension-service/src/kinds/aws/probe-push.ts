import { randomUUID } from 'node:crypto';
import { RegistryError } from '../../registry/errors.js';
import type { AwsConfig } from './config.js';
import type { RegistryClient } from '../../registry/client.js';
import { PROBE_REPOSITORY } from '../probe.js';

/**
 * The actions of a push that the registry refuses, tried with a repository that does not exist: an identity that has
 * the permission gets the error that the repository is missing.
 */
export async function probePushActions({
  aws,
  client,
  signal,
}: {
  readonly aws: AwsConfig;
  readonly client: RegistryClient;
  readonly signal: AbortSignal;
}): Promise<string[]> {
  const repository = aws.prefix === '' ? PROBE_REPOSITORY : `${aws.prefix}/${PROBE_REPOSITORY}`;
  const digest = `sha256:${'0'.repeat(64)}`;
  const upload = `blobs/uploads/${randomUUID()}`;
  const calls: Record<string, () => Promise<unknown>> = {
    'ecr:BatchGetImage': () => client.headManifest(repository, 'latest', { signal }),
    'ecr:BatchCheckLayerAvailability': () => client.headBlob(repository, digest, { signal }),
    'ecr:InitiateLayerUpload': () => client.probePush(repository, { signal }),
    'ecr:UploadLayerPart': () => client.probeWrite(repository, 'PATCH', upload, { signal }),
    'ecr:CompleteLayerUpload': () => client.probeWrite(repository, 'PUT', `${upload}?digest=${digest}`, { signal }),
    'ecr:PutImage': () => client.probeWrite(repository, 'PUT', 'manifests/latest', { signal }),
  };
  const missing: string[] = [];
  for (const [action, call] of Object.entries(calls)) {
    try {
      await call();
    } catch (error) {
      if (error instanceof RegistryError && error.kind === 'forbidden') missing.push(action);
    }
  }
  return missing;
}
