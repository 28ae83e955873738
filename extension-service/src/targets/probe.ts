import type { Config, RegistryConfig, TargetConfig } from '../core/config/model.js';
import { targetsOf } from '../core/config/registries.js';
import { imagePaths } from '../core/naming/target.js';
import { kindOf } from '../kinds/kinds.js';
import { ABSENT_DIGEST, PROBE_REPOSITORY } from '../kinds/probe.js';
import type { Probe, ProbedUses } from '../kinds/probe.js';
import { namingTarget, placeOf, sourceName } from '../kinds/registry-naming.js';
import { RegistryError } from '../registry/errors.js';
import type { RegistryClient } from '../registry/client.js';
import type { CloudAccess, Registries } from './registries.js';
import { deletionAdvice } from './garbage/deletion-advice.js';
import { messageOf } from '../util/message-of.js';
import { hostOf, isCopiedTo } from './registries.js';

const PROBE_TIMEOUT_MS = 15_000;
/** Time limit for all calls to a cloud's API together. */
const CLOUD_PROBE_TIMEOUT_MS = 120_000;

/**
 * Tests every configured registry with its credentials: whether it can be read, and for targets whether the service may
 * push and delete.
 */
export async function probeRegistries(config: Config, registries: Registries): Promise<Probe[]> {
  const targets = targetsOf(config);
  const probes = await Promise.all([
    ...targets.map((target) =>
      probeTarget(target, usesOf(config, target), {
        client: registries.target(target.name),
        cloud: registries.cloud(`target ${target.name}`),
      }),
    ),
    ...config.source.registries.map((source) =>
      probeSource(source, registries.source(hostOf(source)), registries.cloud(sourceName(source))),
    ),
  ]);
  return probes.flat();
}

/** Deletion also needs the list of clusters: with `gc.cluster` alone, uses are only recorded. */
function usesOf(config: Config, target: TargetConfig): ProbedUses {
  return { pushes: isCopiedTo(config, target), deletes: config.gc.clusters.length > 0 };
}

interface TargetAccess {
  readonly client: RegistryClient;
  readonly cloud: CloudAccess | undefined;
}

/** Checks each of the target's paths, and whether images may be copied there and deleted. */
async function probeTarget(
  target: TargetConfig,
  uses: ProbedUses,
  { client, cloud }: TargetAccess,
): Promise<readonly Probe[]> {
  const naming = namingTarget(target);
  const probes = imagePaths(naming).map(async (path) => {
    const place = naming.paths === undefined ? naming.host : `${naming.host}/${path}`;
    const about = { registry: `target ${target.name} (${place})`, config: target };
    const repository = path === '' ? PROBE_REPOSITORY : `${path}/${PROBE_REPOSITORY}`;
    const read = await probe(about, 'read', () =>
      client.headManifest(repository, 'latest', { signal: probeTimeout() }),
    );
    // If there is no answer, all further checks would only fail in the same way.
    if (!read.ok) return [read];
    return [
      read,
      ...(uses.pushes ? [await probePush(about, repository, { client, cloud })] : []),
      ...(uses.deletes ? [await probeDelete(about, repository, { client, cloud })] : []),
    ];
  });
  return [...(await Promise.all(probes)).flat(), ...(await probeCloud(cloud, client, uses))];
}

/** Lists tags and deletes a missing manifest, as `gc` does with images. */
async function probeDelete(about: ProbedRegistry, repository: string, { client, cloud }: TargetAccess): Promise<Probe> {
  const remove = cloud?.repositories?.remove;
  const signal = probeTimeout();
  return probe(about, 'delete', async () => {
    await client.listTags(repository, { signal });
    if (remove === undefined) await client.deleteManifest(repository, ABSENT_DIGEST, { signal });
    else await remove(repository, [ABSENT_DIGEST], signal).catch(rethrowUnlessMissing);
  });
}

/** Permissions are checked before the existence of the repository. */
function rethrowUnlessMissing(error: unknown): void {
  if (!(error instanceof RegistryError && MISSING.has(error.kind))) throw error;
}

async function probePush(about: ProbedRegistry, repository: string, { client, cloud }: TargetAccess): Promise<Probe> {
  const push = async (): Promise<void> => {
    try {
      await client.probePush(repository, { signal: probeTimeout() });
    } catch (error) {
      // A missing permission to push is reported first; otherwise, that the first image creates the repository.
      if (!(error instanceof RegistryError && MISSING.has(error.kind) && cloud?.repositories !== undefined))
        throw error;
    }
  };
  return probe(about, 'push', push);
}

async function probeSource(
  source: RegistryConfig,
  client: RegistryClient,
  cloud: CloudAccess | undefined,
): Promise<Probe[]> {
  const registry = sourceName(source);
  // On a shared host, only the configured path is ours.
  const { path } = placeOf(source);
  const repository = kindOf(source).kind.sharesHosts === true ? `${path}/${PROBE_REPOSITORY}` : PROBE_REPOSITORY;
  return [
    await probe({ registry, config: source }, 'read', () =>
      client.headManifest(repository, 'latest', { signal: probeTimeout() }),
    ),
    ...(await probeCloud(cloud, client, { pushes: false, deletes: false })),
  ];
}

async function probeCloud(
  cloud: CloudAccess | undefined,
  client: RegistryClient,
  uses: ProbedUses,
): Promise<readonly Probe[]> {
  const probes = (await cloud?.probe?.(AbortSignal.timeout(CLOUD_PROBE_TIMEOUT_MS), client, uses)) ?? [];
  // The registry lacks nothing: there was no login for the request.
  return probes.map((one) =>
    !one.ok && one.state === undefined && LOGINS.has(one.check) ? { ...one, state: 'failed' } : one,
  );
}

/** A registry's display name, with its configuration. */
interface ProbedRegistry {
  readonly registry: string;
  readonly config: RegistryConfig;
}

async function probe(
  { registry, config }: ProbedRegistry,
  check: Probe['check'],
  ask: () => Promise<unknown>,
): Promise<Probe> {
  try {
    await ask();
    return { registry, check, ok: true, message: FINDINGS[check] ?? 'responds and accepts the credentials' };
  } catch (error) {
    const message = `${messageOf(error)}${advice(error, check, config)}`;
    return { registry, check, ok: false, state: stateOf(error), message };
  }
}

const FINDINGS: Readonly<Record<string, string>> = { push: 'may push', delete: 'may list tags and delete images' };

function stateOf(error: unknown): NonNullable<Probe['state']> {
  if (!(error instanceof RegistryError)) return 'failed';
  switch (error.kind) {
    case 'unreachable':
      return 'unreachable';
    case 'unauthorized':
    case 'forbidden':
    case 'refused':
    case 'policy':
      return 'refused';
    case 'absent':
    case 'missing':
      return 'missing';
    default:
      return 'failed';
  }
}

function advice(error: unknown, check: Probe['check'], config: RegistryConfig): string {
  if (!(error instanceof RegistryError)) return '';
  if (check === 'delete') return deletionAdvice(error);
  const { type } = kindOf(config).kind;
  switch (error.kind) {
    case 'unauthorized':
      if (type !== 'oci') return '; check the cloud identity of the service';
      return hasCredentials(config)
        ? '; the configured credentials are wrong, or unknown to the registry'
        : '; no credentials are configured: set oci.credentials';
    case 'forbidden':
      return check === 'push' ? '; allow the account to push there' : '; allow the account to pull from there';
    case 'unreachable':
      return type === 'oci'
        ? '; check host, port, insecure and caFile, and the proxy variables'
        : '; check the region or location, the network and the proxy variables';
    default:
      return '';
  }
}

function hasCredentials({ oci }: RegistryConfig): boolean {
  const { credentials } = (oci ?? {}) as { readonly credentials?: object };
  return credentials !== undefined && Object.keys(credentials).length > 0;
}

function probeTimeout(): AbortSignal {
  return AbortSignal.timeout(PROBE_TIMEOUT_MS);
}

const LOGINS: ReadonlySet<string> = new Set(['login', 'identity']);

/** The repository does not exist: results of a read and of a write. */
const MISSING: ReadonlySet<string> = new Set(['absent', 'missing']);
