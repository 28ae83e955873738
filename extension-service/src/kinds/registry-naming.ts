import type { RegistryConfig, TargetConfig } from '../core/config/model.js';
import type { NamingTarget, RegistryPlace, TargetProblem } from '../core/naming/target.js';
import { namingProblems, usableTarget } from '../core/naming/usable-target.js';
import { kindOf } from './kinds.js';

/** A configured target as naming sees it. @throws InvalidTargetError when {@link targetProblems} has any */
export function namingTarget(target: TargetConfig): NamingTarget {
  return usableTarget(target.name, placeOf(target), keysOf(target), target.paths);
}

/** Why images cannot be named with the target; none for a good one. */
export function targetProblems(target: TargetConfig): readonly TargetProblem[] {
  return namingProblems(placeOf(target), keysOf(target), target.paths);
}

/** Where a configured registry is. */
export function placeOf(registry: RegistryConfig): RegistryPlace {
  const { kind, settings } = kindOf(registry);
  return kind.naming.place(settings);
}

/** How messages and metrics call a source. */
export function sourceName(source: RegistryConfig): string {
  const { host, path } = placeOf(source);
  return kindOf(source).kind.sharesHosts === true ? `source ${host}/${path}` : `source ${host}`;
}

function keysOf(registry: RegistryConfig): { readonly host: string; readonly path: string } {
  const { type, naming } = kindOf(registry).kind;
  return { host: `${type}.${naming.keys.host}`, path: `${type}.${naming.keys.path}` };
}
