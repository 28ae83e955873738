import {
  CreateRepositoryCommand,
  DescribeRepositoriesCommand,
  ECRClient,
  RepositoryAlreadyExistsException,
  RepositoryNotFoundException,
  type Repository,
} from '@aws-sdk/client-ecr';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import type { Moto } from '../tools/moto.js';
import type { ControlView, RepositoryView } from './ecr-gate.js';

const CREDENTIALS = { accessKeyId: 'AKIATESTVIEW00000001', secretAccessKey: 'secret' };

/** moto as the control plane of the gate in front of a registry. The gate's requests to moto are not in moto's log. */
export function motoView({ direct, tokens }: Moto): ControlView {
  const client = async (account: string, region: string): Promise<ECRClient> => {
    // moto distinguishes accounts by the assumed role.
    const sts = new STSClient({ endpoint: direct, region, credentials: CREDENTIALS });
    const role = { RoleArn: `arn:aws:iam::${account}:role/view`, RoleSessionName: 'view' };
    const { Credentials: given } = await sts.send(new AssumeRoleCommand(role));
    const [accessKeyId, secretAccessKey] = [given?.AccessKeyId ?? '', given?.SecretAccessKey ?? ''];
    return new ECRClient({ endpoint: direct, region, credentials: { accessKeyId, secretAccessKey } });
  };
  return {
    tokenState: (password) => tokens.state(password),
    tokenArn: (password) => tokens.find(password)?.arn,
    repository: async (account, region, name) => {
      const ecr = await client(account, region);
      try {
        const { repositories } = await ecr.send(new DescribeRepositoriesCommand({ repositoryNames: [name] }));
        return repositories?.[0] && viewOf(repositories[0]);
      } catch (error) {
        if (error instanceof RepositoryNotFoundException) return undefined;
        throw error;
      } finally {
        ecr.destroy();
      }
    },
    create: async (account, region, repositoryName) => {
      const ecr = await client(account, region);
      await ecr.send(new CreateRepositoryCommand({ repositoryName })).catch((error: unknown) => {
        if (!(error instanceof RepositoryAlreadyExistsException)) throw error;
      });
      ecr.destroy();
    },
    // moto does not support archives.
    pushed: () => undefined,
    imageStatus: () => undefined,
    blobMounting: () => false,
  };
}

function viewOf(repository: Repository): RepositoryView {
  const filters = repository.imageTagMutabilityExclusionFilters ?? [];
  const { encryptionType = 'AES256', kmsKey } = repository.encryptionConfiguration ?? {};
  return {
    imageTagMutability: repository.imageTagMutability ?? 'MUTABLE',
    imageTagMutabilityExclusionFilters: filters.map(({ filter = '' }) => ({ filterType: 'WILDCARD', filter })),
    encryptionConfiguration: { encryptionType, ...(kmsKey !== undefined && { kmsKey }) },
  };
}
