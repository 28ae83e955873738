/** Under which the service puts its authority into objects that others apply. */
export const CA_FIELD_MANAGER = 'image-swapper-authority';

/** Names of earlier versions: the client's own. */
const FORMER_MANAGERS = ['node', 'node-fetch'];

interface Managed {
  readonly metadata: {
    readonly resourceVersion: string;
    readonly managedFields?: readonly {
      readonly manager?: string;
      readonly operation?: string;
      readonly fieldsV1?: unknown;
    }[];
  };
}

/**
 * The JSON patch after which nobody owns the `caBundle` that the service wrote; undefined where there is nothing to give up.
 * Server-side apply, as Helm 4 does it, refuses to change a field that another manager owns: a `helm rollback` to the first
 * revision, whose Provider has a placeholder, would fail. The service replaces what such an apply writes at its next look.
 */
export function releasePatch(object: unknown): readonly object[] | undefined {
  const { metadata } = object as Managed;
  const all = metadata.managedFields ?? [];
  const kept = all.filter(
    ({ manager = '', operation, fieldsV1 }) =>
      !([CA_FIELD_MANAGER, ...FORMER_MANAGERS].includes(manager) && operation === 'Update' && isCaManager(fieldsV1)),
  );
  // An empty list would make the next apply take everything for somebody else's.
  if (kept.length === all.length || kept.length === 0) return undefined;
  return [
    { op: 'test', path: '/metadata/resourceVersion', value: metadata.resourceVersion },
    { op: 'replace', path: '/metadata/managedFields', value: kept },
  ];
}

/** Whether the fields are `caBundle` alone, in the form of managedFields: `f:NAME`, `k:KEY`, and `.` for the thing itself. */
function isCaManager(fields: unknown): boolean {
  if (typeof fields !== 'object' || fields === null) return false;
  const entries = Object.entries(fields);
  return (
    entries.length > 0 &&
    entries.every(([name, inner]) => name === 'f:caBundle' || (name !== '.' && isCaManager(inner)))
  );
}
