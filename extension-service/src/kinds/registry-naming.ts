import type { RegistryConfig, TargetConfig } from '../core/config/model.js';
import type { NamingTarget, RegistryPlace, TargetProblem } from '../core/naming/target.js';
import { namingProblems, usableTarget } from '../core/naming/usable-target.js';
import { kindOf } from './kinds.js';

/** A configured target in the form for naming. @throws InvalidTargetError if {@link targetProblems} returns any */
export function namingTarget(target: TargetConfig): NamingTarget {
  return usableTarget(target.name, placeOf(target), keysOf(target), target.paths);
}

/** Why images cannot be named with the target; none if it is valid. */
export function targetProblems(target: TargetConfig): readonly TargetProblem[] {
  return namingProblems(placeOf(target), keysOf(target), target.paths);
}

/** The location of a configured registry. */
export function placeOf(registry: RegistryConfig): RegistryPlace {
  const { kind, settings } = kindOf(registry);
  return kind.naming.place(settings);
}

/** The name of a source in messages and metrics. */
export function sourceName(source: RegistryConfig): string {
  const { host, path } = placeOf(source);
  return kindOf(source).kind.sharesHosts === true ? `source ${host}/${path}` : `source ${host}`;
}

function keysOf(registry: RegistryConfig): { readonly host: string; readonly path: string } {
  const { type, naming } = kindOf(registry).kind;
  return { host: `${type}.${naming.keys.host}`, path: `${type}.${naming.keys.path}` };
}
