import { randomUUID } from 'node:crypto';
import { RegistryError } from '../../registry/errors.js';
import { isDecidedElsewhere } from './advice.js';
import type { EcrProbe, ReportCheck } from './probe-attempt.js';
import { ABSENT_DIGEST, PROBE_REPOSITORY } from '../probe.js';

/**
 * The actions of a push, and of `gc`, that the registry rejects. They are tried with a repository that does not exist:
 * an identity with the permission gets the error that the repository is missing.
 */
export async function probePushActions(
  { aws, deletes, client, signal }: Pick<EcrProbe, 'aws' | 'deletes' | 'client' | 'signal'>,
  say: ReportCheck,
): Promise<string[]> {
  const repository = aws.prefix === '' ? PROBE_REPOSITORY : `${aws.prefix}/${PROBE_REPOSITORY}`;
  const upload = `blobs/uploads/${randomUUID()}`;
  const calls: Record<string, () => Promise<unknown>> = {
    'ecr:BatchGetImage': () => client.headManifest(repository, 'latest', { signal }),
    'ecr:BatchCheckLayerAvailability': () => client.headBlob(repository, { digest: ABSENT_DIGEST }, { signal }),
    'ecr:InitiateLayerUpload': () => client.probePush(repository, { signal }),
    'ecr:UploadLayerPart': () => client.probeWrite(repository, 'PATCH', upload, { signal }),
    'ecr:CompleteLayerUpload': () =>
      client.probeWrite(repository, 'PUT', `${upload}?digest=${ABSENT_DIGEST}`, { signal }),
    'ecr:PutImage': () => client.probeWrite(repository, 'PUT', 'manifests/latest', { signal }),
    ...(deletes && { 'ecr:ListImages': () => client.listTags(repository, { signal }) }),
  };
  const missing: string[] = [];
  for (const [action, call] of Object.entries(calls)) {
    try {
      await call();
    } catch (error) {
      if (!(error instanceof RegistryError) || error.kind !== 'forbidden') continue;
      if (isDecidedElsewhere(error.message)) say(action, false, error.message);
      else missing.push(action);
    }
  }
  return missing;
}
