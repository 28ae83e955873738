import type { GatekeeperMatch } from '../../../../extension-service/src/core/policies/pushdown/match-draft.js';

interface Metadata {
  readonly namespace: string;
  readonly [key: string]: unknown;
}

/** Reference implementation of Gatekeeper's matching. An e2e test compares it with Gatekeeper. */
export function isMatch({ namespaces, excludedNamespaces, labels }: GatekeeperMatch, metadata: Metadata): boolean {
  const isIn = (pattern: string): boolean => {
    const source = pattern.replace(/^\*/, '.*').replace(/\*$/, '.*');
    return new RegExp(`^${source}$`).test(metadata.namespace);
  };
  if (namespaces !== undefined && !namespaces.some(isIn)) return false;
  if (excludedNamespaces.some(isIn)) return false;
  const has = (metadata['labels'] ?? {}) as Readonly<Record<string, string>>;
  return labels.every(({ key, operator, values = [] }) => {
    const value = Object.hasOwn(has, key) ? has[key] : undefined;
    if (operator === 'Exists') return value !== undefined;
    if (operator === 'DoesNotExist') return value === undefined;
    return (value !== undefined && values.includes(value)) === (operator === 'In');
  });
}

/** Whether the match selects any Pod, determined with sample values. */
export function isPossible(match: GatekeeperMatch): boolean {
  const names = match.namespaces?.flatMap((name) => ['', 'q', 'q9q'].map((filler) => name.replaceAll('*', filler)));
  const namespace = (names ?? ['q9q']).some((name) => isMatch({ ...match, labels: [] }, { namespace: name }));
  const open = { excludedNamespaces: [], labels: match.labels };
  const keys = [...new Set(match.labels.map(({ key }) => key))];
  // Keys are independent of each other, so each key is checked separately.
  const isKeyPossible = (key: string): boolean => {
    const labels = open.labels.filter((label) => label.key === key);
    const values = [undefined, 'q9q', ...labels.flatMap(({ values: some = [] }) => some)];
    return values.some((value) =>
      isMatch({ ...open, labels }, { namespace: 'a', labels: value === undefined ? {} : { [key]: value } }),
    );
  };
  return namespace && keys.every(isKeyPossible);
}
