import type { GcpConfig } from './config.js';
import type { LoginSource } from '../../credentials/renewed-login.js';
import type { Probe } from '../probe.js';
import { artifactRegistryPlace } from './hosts.js';
import { missingReaders } from './readers.js';
import { ADMIN, READER_ROLE, REPO_ADMIN, WRITER } from './repository-api.js';
import type { RepositoryApi } from './repository-api.js';
import { enumName, hasSettings, settingsDrift } from './settings.js';
import type { Repository } from './settings.js';
import { messageOf } from '../../util/message-of.js';

export interface ArtifactRegistryProbe {
  readonly gcp: GcpConfig;
  /** `target NAME` or `source HOST/PATH`. */
  readonly registry: string;
  readonly isTarget: boolean;
  /** `gc` deletes images there. */
  readonly deletes: boolean;
  readonly login: LoginSource;
  readonly api: RepositoryApi;
  readonly signal: AbortSignal;
}

type Say = (check: string, ok: boolean, message: string) => void;

/**
 * Checks with Google's API what the configuration needs, without changing anything: a token, the repository, each
 * permission by name, the settings. Other probes check at the registry whether images can be pulled and pushed, so an
 * API that is disabled or unreachable is not a fault by itself.
 */
export async function probeArtifactRegistry(probe: ArtifactRegistryProbe): Promise<readonly Probe[]> {
  const { gcp, registry, isTarget, login } = probe;
  const { host } = artifactRegistryPlace(gcp);
  const found: Probe[] = [];
  const say: Say = (check, ok, message) =>
    found.push({ registry: isTarget ? `${registry} (${host})` : registry, check, ok, message });
  try {
    const { expires } = await login.get();
    const who = gcp.serviceAccount === undefined ? 'by the credentials found' : `as ${gcp.serviceAccount}`;
    say('login', true, `a token ${who}, until ${new Date(expires).toISOString()}`);
  } catch (error) {
    // Without a token everything else fails in the same way.
    say('login', false, messageOf(error));
    return found;
  }
  // Other probes check `paths` that are repositories, at the registry.
  if (gcp.repositoryId === '') return found;
  const repository = await findRepository(probe, say);
  if (repository !== 'missing') await probePermissions(probe, say);
  if (isTarget && typeof repository === 'object') await probeSettings(probe, repository, say);
  return found;
}

/** The repository; `unknown` if the identity may not read it. */
async function findRepository(
  { gcp, api, isTarget, signal }: ArtifactRegistryProbe,
  say: Say,
): Promise<Repository | 'missing' | 'unknown'> {
  const { path } = artifactRegistryPlace(gcp);
  let repository: Repository | undefined;
  try {
    repository = await api.get(signal);
  } catch (error) {
    // Pushing and pulling do not need this permission, but settings do.
    const needed = isTarget && hasSettings(gcp);
    say('repository', !needed, `not checked: ${messageOf(error)}`);
    return 'unknown';
  }
  if (repository === undefined) {
    if (isTarget && gcp.createRepository) {
      say(
        'repository',
        true,
        `${path} does not exist yet: the first push creates it, which needs ${ADMIN} on the project`,
      );
    } else {
      say(
        'repository',
        false,
        `${path} does not exist: create it${isTarget ? ', or set gcp.createRepository: true' : ''}`,
      );
    }
    return 'missing';
  }
  const format = enumName(repository.format, ['unspecified', 'DOCKER']);
  const mode = enumName(repository.mode, ['STANDARD_REPOSITORY', 'STANDARD_REPOSITORY']);
  if (format !== 'DOCKER') say('repository', false, `${path} has the format ${format}; images need DOCKER`);
  else if (isTarget && mode !== 'STANDARD_REPOSITORY') {
    say('repository', false, `${path} is a ${mode}: images cannot be pushed there`);
  } else say('repository', true, `${path} exists`);
  return repository;
}

/** Permissions that the configuration needs, with the role to grant for each. */
function neededPermissions({ gcp, isTarget, deletes }: ArtifactRegistryProbe): ReadonlyMap<string, string> {
  const needed = new Map([['artifactregistry.repositories.downloadArtifacts', READER_ROLE]]);
  if (deletes) needed.set('artifactregistry.repositories.deleteArtifacts', REPO_ADMIN);
  if (!isTarget) return needed;
  needed.set('artifactregistry.repositories.downloadArtifacts', WRITER);
  needed.set('artifactregistry.repositories.uploadArtifacts', WRITER);
  if (!gcp.reconcilePolicies || !hasSettings(gcp)) return needed;
  needed.set('artifactregistry.repositories.get', READER_ROLE);
  needed.set('artifactregistry.repositories.update', ADMIN);
  if (gcp.readers.length > 0) {
    needed.set('artifactregistry.repositories.getIamPolicy', ADMIN);
    needed.set('artifactregistry.repositories.setIamPolicy', ADMIN);
  }
  return needed;
}

async function probePermissions(probe: ArtifactRegistryProbe, say: Say): Promise<void> {
  const { gcp, api, signal } = probe;
  const { path } = artifactRegistryPlace(gcp);
  const needed = neededPermissions(probe);
  try {
    const granted = await api.testPermissions([...needed.keys()], signal);
    const missing = [...needed].filter(([permission]) => !granted.includes(permission));
    for (const [permission, role] of missing) {
      say('permissions', false, `${permission} is missing: grant ${role} on the repository ${path}`);
    }
    if (missing.length === 0) say('permissions', true, `has ${[...new Set(needed.values())].join(', ')}`);
  } catch (error) {
    say('permissions', true, `not checked: ${messageOf(error)}`);
  }
}

async function probeSettings(
  { gcp, api, signal }: ArtifactRegistryProbe,
  repository: Repository,
  say: Say,
): Promise<void> {
  if (!hasSettings(gcp) && gcp.repository.kmsKey === undefined) return;
  const drift = settingsDrift(gcp, repository);
  for (const { key, path } of drift) {
    const will =
      path === undefined
        ? 'only a new repository can have it'
        : gcp.reconcilePolicies
          ? 'the service sets it again'
          : 'gcp.reconcilePolicies is false';
    say('policies', false, `gcp.${key} differs from the repository's setting; ${will}`);
  }
  let readers: readonly string[] = [];
  if (gcp.readers.length > 0) {
    try {
      readers = missingReaders(await api.iamPolicy(signal), gcp.readers);
    } catch (error) {
      return say('policies', false, messageOf(error));
    }
  }
  for (const reader of readers) say('policies', false, `${reader} has no ${READER_ROLE} on the repository`);
  if (drift.length === 0 && readers.length === 0) say('policies', true, 'the repository is as configured');
}
