import type { OperatorConfig } from '../../config/model.js';
import { labelParts } from '../../decide/operators.js';
import { celString, jmespathString } from '../literals.js';
import { celOf } from './cel.js';
import { kyvernoJmespathOf } from './jmespath.js';
import { or } from './predicate.js';
import type { Predicate } from './predicate.js';

const OPTION = 'pods.operators';

/** CEL that is true for a Pod of one of the operators; undefined without operators. */
export function operatorsInCel(operators: readonly OperatorConfig[]): string | undefined {
  if (operators.length === 0) return undefined;
  const owners = operators.map(
    ({ apiGroup, kind }) =>
      `(o.apiVersion.startsWith(${celString(`${apiGroup}/`, OPTION)}) && o.kind == ${celString(kind, OPTION)})`,
  );
  const owned = `has(object.metadata.ownerReferences) && object.metadata.ownerReferences.exists(o,\n  ${owners.join('\n  || ')})`;
  const labels = labelsOf(operators);
  return labels === undefined ? `(${owned})` : `((${owned})\n  || ${celOf(labels, OPTION)})`;
}

/** JMESPath for the conditions of a ClusterPolicy: the number of matching owners must be 0, and no label may exist. */
export function operatorsInJmespath(
  operators: readonly OperatorConfig[],
): { readonly owners: string; readonly labels?: string } | undefined {
  if (operators.length === 0) return undefined;
  const tests = operators.map(
    ({ apiGroup, kind }) =>
      `(starts_with(apiVersion, ${jmespathString(`${apiGroup}/`, OPTION)}) && kind == ${jmespathString(kind, OPTION)})`,
  );
  const labels = labelsOf(operators);
  return {
    owners: `length((request.object.metadata.ownerReferences || \`[]\`)[?${tests.join(' || ')}])`,
    ...(labels !== undefined && { labels: kyvernoJmespathOf(labels, OPTION) }),
  };
}

function labelsOf(operators: readonly OperatorConfig[]): Predicate | undefined {
  const labels = operators.flatMap(({ label }): Predicate[] => {
    if (label === undefined) return [];
    const { key, value } = labelParts(label);
    const field = { of: 'labels', name: key } as const;
    return [value === undefined ? { kind: 'present', field } : { kind: 'equals', field, texts: [value] }];
  });
  return labels.length === 0 ? undefined : or(...labels);
}
