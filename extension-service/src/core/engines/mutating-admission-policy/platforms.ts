import type { Platforms } from '../../config/model.js';
import { ARCHITECTURE_LABELS, SYSTEM_LABELS } from '../../decide/named-platforms.js';
import { parsePlatform } from '../../image/platform.js';
import { celString } from '../../policies/literals.js';
import type { CelCondition } from '../../policies/objects.js';

const SYSTEMS = labelList(SYSTEM_LABELS);
const ARCHITECTURES = labelList(ARCHITECTURE_LABELS);
const REQUIRED = 'object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution';

/**
 * Variables with the operating systems and architectures that a Pod requires of its node, as
 * `core/decide/named-platforms.ts` reads them.
 */
export const PLATFORM_VARIABLES: readonly CelCondition[] = [
  {
    name: 'requirements',
    expression: [
      'has(object.spec.affinity) && has(object.spec.affinity.nodeAffinity)',
      `  && has(${REQUIRED}) && has(${REQUIRED}.nodeSelectorTerms)`,
      `  ? ${REQUIRED}.nodeSelectorTerms.map(t, has(t.matchExpressions) ? t.matchExpressions : []).flatten()`,
      '      .filter(r, has(r.key) && has(r.operator) && has(r.values))',
      '  : []',
    ].join('\n'),
  },
  {
    name: 'systems',
    expression: `((has(object.spec.os) && has(object.spec.os.name) ? [object.spec.os.name] : [])\n  + ${named(SYSTEMS)}).filter(v, v != "")`,
  },
  { name: 'architectures', expression: `(${named(ARCHITECTURES)}).filter(v, v != "")` },
  {
    name: 'excludedPlatforms',
    expression: `variables.requirements.filter(r, r.operator == "NotIn" && r.key in ${SYSTEMS} + ${ARCHITECTURES}).map(r, r.values).flatten()`,
  },
];

/** CEL that is true for a Pod that may run on a platform that the mirror does not contain. */
export function missesPlatform(platforms: Exclude<Platforms, 'all'>): string {
  const held = platforms.map(parsePlatform).map(({ os, architecture }) => {
    return `{"os": ${celString(os, 'platforms')}, "architecture": ${celString(architecture, 'platforms')}}`;
  });
  const list = `[${[...new Set(held)].join(', ')}]`;
  const orAny = (values: string): string => `(size(${values}) == 0 ? [""] : ${values})`;
  return [
    `${orAny('variables.systems')}.exists(os, ${orAny('variables.architectures')}.exists(architecture,`,
    `  !${list}.exists(p, (os == "" || p.os == os) && (architecture == "" || p.architecture == architecture))))`,
    `|| ${list}.all(p, p.os in variables.excludedPlatforms || p.architecture in variables.excludedPlatforms)`,
  ].join('\n');
}

/** CEL for the values that `nodeSelector` and the required node affinity give to labels. */
function named(labels: string): string {
  return [
    `${labels}.filter(l, has(object.spec.nodeSelector) && l in object.spec.nodeSelector).map(l, object.spec.nodeSelector[l])`,
    `  + variables.requirements.filter(r, r.operator == "In" && r.key in ${labels}).map(r, r.values).flatten()`,
  ].join('\n');
}

function labelList(labels: readonly string[]): string {
  return `[${labels.map((label) => celString(label, 'label')).join(', ')}]`;
}
