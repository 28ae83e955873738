import { read } from '../docs.js';

/** An RBAC rule. */
export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** Reads rules from a snapshot of differences from the chart's defaults: `rules[0].verbs[1]: "get"`. */
export function snapshotRules(file: string, role: string): Rule[] {
  const rules: Record<string, string[]>[] = [];
  let inRole = false;
  for (const line of read(file).split('\n')) {
    if (/^\S/.test(line)) inRole = line.replace(/: new$/, '') === role;
    const [, index, key = '', value = ''] =
      /^ +(?:\+ )?rules\[(\d+)\]\.(\w+)\[\d+\]: "(.*)"$/.exec(inRole ? line : '') ?? [];
    if (index !== undefined) ((rules[Number(index)] ??= {})[key] ??= []).push(value);
  }
  return rules.filter(Boolean) as unknown as Rule[];
}

/** Whether the rules allow the verb. A request without an object name omits `name`. */
export function grants(rules: readonly Rule[], group: string, resource: string, verb: string, name?: string): boolean {
  return rules.some(
    ({ apiGroups, resources, resourceNames, verbs }) =>
      apiGroups.includes(group) &&
      resources.includes(resource) &&
      verbs.includes(verb) &&
      (resourceNames === undefined || (name !== undefined && resourceNames.includes(name))),
  );
}
