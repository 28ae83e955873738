import type { Config, RegistryConfig, TargetConfig } from '../core/config/model.js';
import { namingTarget } from '../core/naming/target.js';
import { RegistryError } from '../registry/errors.js';
import type { RegistryClient } from '../registry/client.js';
import type { Registries } from './registries.js';
import { hostOf } from './registries.js';

/** One thing that was tried at a registry. */
export interface Probe {
  readonly registry: string;
  readonly check: 'read' | 'push';
  readonly ok: boolean;
  /** What is missing and what to do, or what was found. */
  readonly message: string;
}

/** A repository that no source can be mirrored to: a source's path begins with a host. */
const PROBE_REPOSITORY = 'image-swapper-check';
const PATIENCE = 15_000;

/** Tries every configured registry with its credentials: can it be read, and may we push to the targets? */
export async function probeRegistries(config: Config, registries: Registries): Promise<Probe[]> {
  const targets = [...config.targets, ...(config.target === undefined ? [] : [config.target])];
  const probes = await Promise.all([
    ...targets.map((target) => probeTarget(target, registries.target(target.name))),
    ...config.source.registries.map((source) => probeSource(source, registries.source(hostOf(source), []))),
  ]);
  return probes.flat();
}

async function probeTarget(target: TargetConfig, client: RegistryClient): Promise<Probe[]> {
  const { path, host } = namingTarget(target);
  const repository = path === '' ? PROBE_REPOSITORY : `${path}/${PROBE_REPOSITORY}`;
  const registry = `target ${target.name} (${host})`;
  const read = await probe(registry, 'read', () => client.headManifest(repository, 'latest', { signal: patience() }));
  // Without an answer to a question, pushing would only fail in the same way.
  if (!read.ok) return [read];
  return [read, await probe(registry, 'push', () => client.probePush(repository, { signal: patience() }))];
}

async function probeSource(source: RegistryConfig, client: RegistryClient): Promise<Probe[]> {
  const registry = `source ${hostOf(source)}`;
  return [await probe(registry, 'read', () => client.headManifest(PROBE_REPOSITORY, 'latest', { signal: patience() }))];
}

async function probe(registry: string, check: Probe['check'], ask: () => Promise<unknown>): Promise<Probe> {
  try {
    await ask();
    return { registry, check, ok: true, message: check === 'push' ? 'may push' : 'answers and takes the credentials' };
  } catch (error) {
    return { registry, check, ok: false, message: `${reason(error)}${advice(error, check)}` };
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function advice(error: unknown, check: Probe['check']): string {
  if (!(error instanceof RegistryError)) return '';
  switch (error.kind) {
    case 'unauthorized':
      return '; give credentials for it, or other ones';
    case 'forbidden':
      return check === 'push' ? '; allow the account to push there' : '; allow the account to pull from there';
    case 'unreachable':
      return '; check host, port, insecure and caFile, and the proxy variables';
    default:
      return '';
  }
}

function patience(): AbortSignal {
  return AbortSignal.timeout(PATIENCE);
}
