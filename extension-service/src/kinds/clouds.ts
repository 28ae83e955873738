import type { RegistryConfig } from '../core/config/model.js';
import type { CloudLogin, CloudOptions, CloudRegistry } from './cloud.js';
import { isTargetName } from './cloud.js';
import type { CloudOpener } from './kind.js';
import { kindOf } from './kinds.js';

/**
 * Opens a configured registry that has a cloud API; `name` is `target NAME`, `source HOST` or `source HOST/PATH`.
 * Undefined for other registries.
 */
export type OpenCloudRegistry<T extends CloudLogin = CloudRegistry> = (
  registry: RegistryConfig,
  name: string,
) => T | undefined;

/** Opens registries of clouds; their SDKs are loaded by the first call that needs them. */
export function openClouds(options: CloudOptions): OpenCloudRegistry {
  const openers = new Map<string, CloudOpener<unknown>>();
  return (registry, name) => {
    const { kind, settings } = kindOf(registry);
    if (kind.cloud === undefined) return undefined;
    const opener = openers.get(kind.type) ?? kind.cloud.opener(options);
    openers.set(kind.type, opener);
    return opener.open(settings, name);
  };
}

/** The registries that a configured registry's login may be sent to; undefined if it has no cloud login. */
export function cloudScope(registry: RegistryConfig, name: string): Pick<CloudLogin, 'covers' | 'owns'> | undefined {
  const { kind, settings } = kindOf(registry);
  return kind.cloud?.scope(settings, isTargetName(name));
}

/** Whether a registry's login comes from a cloud API. */
export function usesCloud(registry: RegistryConfig): boolean {
  return kindOf(registry).kind.cloud !== undefined;
}
