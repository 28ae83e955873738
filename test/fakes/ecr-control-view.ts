import type { EcrControl } from './ecr-control.js';
import { repositoryArn } from './ecr-repositories.js';
import type { ControlView } from './ecr-gate.js';

/** Gives the gate in front of a registry the tokens and repositories of our fake control plane. */
export function controlView({ tokens, repositories, settings, images }: EcrControl): ControlView {
  return {
    tokenState: (password) => tokens.state(password),
    tokenArn: (password) => tokens.find(password)?.arn,
    repository: (account, region, name) => repositories.find(account, region, name),
    create: (account, region, name) => {
      if (repositories.find(account, region, name) === undefined) repositories.create(account, region, name, {});
    },
    pushed: (account, region, name, digest, tag) => images.pushed(repositoryArn(account, region, name), digest, tag),
    imageStatus: (account, region, name, reference) =>
      images.find(repositoryArn(account, region, name), reference)?.imageStatus,
    blobMounting: () => settings.get('BLOB_MOUNTING') === 'ENABLED',
  };
}
