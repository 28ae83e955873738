import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Config, RegistryConfig, TargetConfig } from '../core/config/model.js';
import { registriesOf, targetsOf } from '../core/config/registries.js';
import type { CredentialSources } from '../credentials/config-credentials.js';
import { DockerConfigSource } from '../credentials/docker-config-source.js';
import { chainKeychains, excludeHosts, keyring } from '../credentials/keychain.js';
import { cloudKeychain } from '../kinds/cloud.js';
import type { ArchivedImage, CloudLogin, CloudRegistry } from '../kinds/cloud.js';
import type { OpenCloudRegistry } from '../kinds/clouds.js';
import { kindOf } from '../kinds/kinds.js';
import { placeOf, sourceName } from '../kinds/registry-naming.js';
import type { RegistryClient } from '../registry/client.js';
import { RegistryFactory } from '../registry/factory.js';
import { addedCas } from '../registry/transport/added-cas.js';
import type { OnRegistryRequest } from '../registry/request-log.js';
import type { RetryPolicy } from '../registry/transport/retry.js';
import type { Keychain, RegistryEndpoint } from '../registry/types.js';
import { BoundedMap } from '../util/bounded-map.js';
import { messageOf } from '../util/message-of.js';
import { maxCopies } from '../core/config/copy-slots.js';

export interface RegistriesOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Content of a Secret's Docker config; by default in the service's own namespace. */
  readonly readSecret: CredentialSources['readSecret'];
  readonly report: (problem: string) => void;
  /** Logins of cloud registries; pushing there needs the rest of their functions as well. */
  readonly cloud: OpenCloudRegistry<CloudAccess>;
  readonly retry?: Partial<RetryPolicy>;
  readonly now?: () => number;
  readonly onRequest?: OnRegistryRequest;
  /** As in the factory's options. */
  readonly replicas?: () => number;
}

/** The settings of the registries cannot be used on this machine. */
export class UnusableRegistriesError extends Error {
  override readonly name = 'UnusableRegistriesError';
}

export type CloudAccess = CloudLogin & Partial<CloudRegistry>;

/** Maximum sources with a cached client; hosts come from Pods, so their number is unlimited. */
const KEPT_SOURCES = 200;

/** Parallel blobs of one copy. */
const SOCKETS_PER_COPY = 4;
/** For lookups of admissions and checks beside the manifests of copies. */
const SPARE_SOCKETS = 16;

/**
 * The clients of one configuration: one for each target with its credentials, one for each source host. A registry's
 * credentials come from its own configuration, else from the user's Docker config.
 */
export class Registries {
  private readonly factory: RegistryFactory;
  private readonly targets = new Map<string, RegistryClient>();
  private readonly sources = new BoundedMap<string, RegistryClient>(KEPT_SOURCES);
  private readonly sharedSources = new BoundedMap<string, RegistryClient>(KEPT_SOURCES);
  private readonly clouds = new Map<string, CloudAccess>();
  /** `target NAME` of those that images are copied to. */
  private readonly copied: ReadonlySet<string>;
  private readonly configured: Keychain;
  /** Only the credentials of `source.registries`. */
  private readonly shared: Keychain;
  private readonly dockerConfig: Keychain;
  /** Hosts of the targets, in lower case. */
  private readonly targetHosts: ReadonlySet<string>;

  /**
   * @throws UnusableRegistriesError with the key if a caFile cannot be read, or a proxy or `source.allow` entry is
   * malformed
   */
  constructor(
    config: Config,
    private readonly options: RegistriesOptions,
  ) {
    const { env } = options;
    const targets = targetsOf(config);
    this.factory = openFactory(config, options);
    this.dockerConfig = dockerConfigKeychain(env, options);
    this.copied = new Set(targets.filter((target) => isCopiedTo(config, target)).map(({ name }) => `target ${name}`));
    for (const registry of config.source.registries) this.openCloud(sourceName(registry), registry);
    for (const target of targets) this.openCloud(`target ${target.name}`, target);
    this.configured = chainKeychains([
      ...config.source.registries.flatMap((registry) => this.credentialsOf(registry)),
      // A target's login may be valid for other registries of the same cloud, which are sources.
      cloudKeychain([...this.clouds.values()]),
    ]);
    const { registries } = config.source;
    const shared = registries.flatMap((registry) => this.clouds.get(sourceName(registry)) ?? []);
    this.shared = chainKeychains([
      ...registries.flatMap((registry) => this.credentialsOf(registry)),
      cloudKeychain(shared),
    ]);
    this.targetHosts = new Set(targets.map((target) => hostOf(target).toLowerCase()));
    // A target is trusted: a registry that it redirects to gets its own configured credentials.
    const all = targets.flatMap((target) => this.credentialsOf(target));
    const elsewhere = chainKeychains([...all, this.configured, this.dockerConfig]);
    for (const target of targets) {
      const cloud = this.cloudTarget(target.name);
      const login = cloud === undefined ? this.credentialsOf(target) : [cloudKeychain([cloud])];
      const push = {
        ...(cloud?.pacer !== undefined && { pacer: cloud.pacer }),
        ...(cloud?.repositories !== undefined && {
          createRepository: cloud.repositories.create.bind(cloud.repositories),
        }),
      };
      const keychain = chainKeychains([...login, this.dockerConfig]);
      this.targets.set(target.name, this.factory.client(hostOf(target), keychain, { ...push, elsewhere }));
    }
  }

  /** @throws Error for an unknown target */
  target(name: string): RegistryClient {
    const client = this.targets.get(name);
    if (client === undefined) throw new Error(`target ${name} is no longer in the configuration`);
    return client;
  }

  /** `pull` has the credentials of a Pod; they are tried before the configuration's. */
  source(host: string, pull?: Keychain): RegistryClient {
    if (pull !== undefined) return this.reader(host, pull);
    const known = this.sources.get(host);
    if (known !== undefined) return known;
    const client = this.reader(host);
    this.sources.set(host, client);
    return client;
  }

  /**
   * Reads images that everyone may have: anonymously, or with the credentials of `source.registries`; never with the
   * logins of targets or the Docker config of the service.
   */
  sharedSource(host: string): RegistryClient {
    const known = this.sharedSources.get(host);
    if (known !== undefined) return known;
    const client = this.strict(host, this.shared);
    this.sharedSources.set(host, client);
    return client;
  }

  /** Reads with only these credentials, or anonymously. */
  strict(host: string, keychain: Keychain): RegistryClient {
    const elsewhere = excludeHosts(this.targetHosts, keychain);
    return this.factory.client(host, keychain, { hidesFromAnonymous: true, elsewhere });
  }

  /** The cloud functions of a target; undefined for other registries. */
  cloudTarget(name: string): CloudAccess | undefined {
    return this.clouds.get(`target ${name}`);
  }

  /** By `target NAME`, or {@link sourceName}. */
  cloud(name: string): CloudAccess | undefined {
    return this.clouds.get(name);
  }

  /** An image that the registry at this host has archived; undefined if no configured cloud knows of one. */
  async findArchived(
    host: string,
    repository: string,
    reference: string,
    signal: AbortSignal,
  ): Promise<ArchivedImage | undefined> {
    for (const cloud of this.clouds.values()) {
      const found = await cloud.findArchived?.(host, repository, reference, signal);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Starts background tasks at clouds; failures are events, and retried. */
  start(): void {
    for (const [name, cloud] of this.clouds) cloud.start?.(this.copied.has(name));
  }

  /** Resolves when background work from finished copies is done or has timed out. */
  async settled(): Promise<void> {
    await Promise.all([...this.clouds.values()].map(async (cloud) => cloud.settled?.()));
  }

  /** Stops background tasks; users of these registries may continue. */
  retire(): void {
    for (const cloud of this.clouds.values()) {
      cloud.login.stop();
      cloud.stop?.();
    }
  }

  /** Closes every connection. */
  close(): void {
    this.retire();
    this.factory.close();
  }

  /**
   * A source that redirects to a target is read there with only the Pod's own credentials. Otherwise any registry could
   * make the service read a private mirror.
   */
  private reader(host: string, pull?: Keychain): RegistryClient {
    const own = pull === undefined ? [] : [pull];
    const ours = chainKeychains([this.configured, this.dockerConfig]);
    return this.factory.client(host, chainKeychains([...own, ours]), {
      hidesFromAnonymous: true,
      elsewhere: chainKeychains([...own, excludeHosts(this.targetHosts, ours)]),
    });
  }

  private openCloud(name: string, registry: RegistryConfig): void {
    const cloud = this.clouds.has(name) ? undefined : this.options.cloud(registry, name);
    if (cloud !== undefined) this.clouds.set(name, cloud);
  }

  private credentialsOf(registry: RegistryConfig): Keychain[] {
    const { readSecret, now = Date.now } = this.options;
    const sources: CredentialSources = { readSecret, now, readFile: (path) => readFile(path, 'utf8') };
    const { kind, settings } = kindOf(registry);
    const keychain = kind.keychain?.(hostOf(registry), settings, sources);
    return keychain === undefined ? [] : [keychain];
  }
}

/** Whether anything is ever pushed to the target. */
export function isCopiedTo(config: Pick<Config, 'imageCopyPolicy'>, target: TargetConfig): boolean {
  return (target.imageCopyPolicy ?? config.imageCopyPolicy) !== 'none';
}

/** host[:port] of a configured registry. */
export function hostOf(registry: RegistryConfig): string {
  return placeOf(registry).host;
}

function openFactory(config: Config, options: RegistriesOptions): RegistryFactory {
  const { env, retry } = options;
  try {
    return new RegistryFactory({
      endpoints: registriesOf(config).map((registry) => endpoint(registry, env)),
      hosts: { allow: config.source.allow, deny: config.source.deny },
      env,
      added: addedCas(env, options.report),
      maxSockets: maxCopies(config.mirror.concurrency) * SOCKETS_PER_COPY + SPARE_SOCKETS,
      ...(retry !== undefined && { retry }),
      ...(options.now !== undefined && { now: options.now }),
      ...(options.onRequest !== undefined && { onRequest: options.onRequest }),
      ...(options.replicas !== undefined && { replicas: options.replicas }),
    });
  } catch (error) {
    throw new UnusableRegistriesError(messageOf(error), { cause: error });
  }
}

function endpoint(registry: RegistryConfig, env: RegistriesOptions['env']): RegistryEndpoint {
  const { kind, settings } = kindOf(registry);
  return { host: hostOf(registry), insecure: false, ...kind.transport?.(settings, env) };
}

/** The file in which docker, crane and skopeo store their logins. */
export function dockerConfigPath(env: RegistriesOptions['env']): string {
  return join(env['DOCKER_CONFIG'] ?? join(env['HOME'] ?? homedir(), '.docker'), 'config.json');
}

/** `config.json` of DOCKER_CONFIG or of the home folder, as docker, crane and skopeo read it; it is optional. */
function dockerConfigKeychain(env: RegistriesOptions['env'], { report }: RegistriesOptions): Keychain {
  const path = dockerConfigPath(env);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') report(`${path}: ${String(error)}`);
    return chainKeychains([]);
  }
  return keyring([new DockerConfigSource(path, () => text, report)]);
}
