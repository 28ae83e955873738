import type { Platforms } from '../config/model.js';
import { parsePlatform } from '../image/platform.js';
import { isObject } from './pod.js';
import type { Json, JsonObject } from './pod.js';

/** Operating systems and architectures that a Pod requires of its node; an empty list requires nothing. */
export interface NamedPlatforms {
  readonly systems: readonly string[];
  readonly architectures: readonly string[];
  /** Nodes of these systems and architectures are not for the Pod. */
  readonly excluded: ReadonlySet<string>;
}

export const SYSTEM_LABELS: readonly string[] = ['kubernetes.io/os', 'beta.kubernetes.io/os'];
export const ARCHITECTURE_LABELS: readonly string[] = ['kubernetes.io/arch', 'beta.kubernetes.io/arch'];

/** The values of `nodeSelector`, the required node affinity (`In`, `NotIn`) and `spec.os`; undefined if there are none. */
export function namedPlatforms(pod: JsonObject): NamedPlatforms | undefined {
  const spec = isObject(pod['spec']) ? pod['spec'] : {};
  const systems = new Set<string>();
  const architectures = new Set<string>();
  const excluded = new Set<string>();
  const note = (label: Json | undefined, value: Json | undefined): void => {
    if (typeof label !== 'string' || typeof value !== 'string' || value === '') return;
    if (SYSTEM_LABELS.includes(label)) systems.add(value);
    if (ARCHITECTURE_LABELS.includes(label)) architectures.add(value);
  };
  if (isObject(spec['os'])) note('kubernetes.io/os', spec['os']['name']);
  const selector = isObject(spec['nodeSelector']) ? spec['nodeSelector'] : {};
  for (const label of [...SYSTEM_LABELS, ...ARCHITECTURE_LABELS]) note(label, selector[label]);
  for (const { key, value } of requiredValues(spec, 'In')) note(key, value);
  for (const { key, value } of requiredValues(spec, 'NotIn')) {
    if (typeof key !== 'string' || typeof value !== 'string') continue;
    if (SYSTEM_LABELS.includes(key) || ARCHITECTURE_LABELS.includes(key)) excluded.add(value);
  }
  if (systems.size === 0 && architectures.size === 0 && excluded.size === 0) return undefined;
  return { systems: [...systems], architectures: [...architectures], excluded };
}

/** The values of one operator in every term of the required node affinity. */
function requiredValues(
  spec: JsonObject,
  operator: 'In' | 'NotIn',
): { readonly key: Json | undefined; readonly value: Json }[] {
  const required = at(at(at(spec, 'affinity'), 'nodeAffinity'), 'requiredDuringSchedulingIgnoredDuringExecution');
  return entries(at(required, 'nodeSelectorTerms'))
    .flatMap((term) => entries(at(term, 'matchExpressions')))
    .filter((expression) => at(expression, 'operator') === operator)
    .flatMap((expression) => entries(at(expression, 'values')).map((value) => ({ key: at(expression, 'key'), value })));
}

function at(value: Json | undefined, key: string): Json | undefined {
  return isObject(value) ? value[key] : undefined;
}

function entries(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? (value as readonly Json[]) : [];
}

/**
 * The first platform that the Pod may run on but a mirror of `platforms` does not contain, such as `linux/arm64`, or
 * `a platform other than linux/amd64`.
 */
export function missingPlatform(named: NamedPlatforms, platforms: Platforms): string | undefined {
  if (platforms === 'all') return undefined;
  const held = platforms.map(parsePlatform);
  for (const os of orUndefined(named.systems)) {
    for (const architecture of orUndefined(named.architectures)) {
      const holds = held.some(
        (one) =>
          (os === undefined || one.os === os) && (architecture === undefined || one.architecture === architecture),
      );
      if (!holds) return `${os ?? '*'}/${architecture ?? '*'}`;
    }
  }
  const isUsable = held.some((one) => !named.excluded.has(one.os) && !named.excluded.has(one.architecture));
  return isUsable ? undefined : `a platform other than ${platforms.join(' and ')}`;
}

function orUndefined(names: readonly string[]): readonly (string | undefined)[] {
  return names.length === 0 ? [undefined] : names;
}
