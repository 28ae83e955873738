/** The field manager for the CA certificate in objects that others apply. */
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
 * The JSON patch that releases the ownership of the `caBundle` that the service wrote; undefined if there is nothing to
 * release. Server-side apply, which Helm 4 uses, rejects a change to a field that another manager owns: a `helm
 * rollback` to the first revision, whose Provider has a placeholder, would fail. The service corrects the result of
 * such an apply at its next check.
 */
export function releasePatch(object: unknown): readonly object[] | undefined {
  const { metadata } = object as Managed;
  const all = metadata.managedFields ?? [];
  const kept = all.filter(
    ({ manager = '', operation, fieldsV1 }) =>
      !([CA_FIELD_MANAGER, ...FORMER_MANAGERS].includes(manager) && operation === 'Update' && isCaManager(fieldsV1)),
  );
  // With an empty list, the next apply would attribute all fields to others.
  if (kept.length === all.length || kept.length === 0) return undefined;
  return [
    { op: 'test', path: '/metadata/resourceVersion', value: metadata.resourceVersion },
    { op: 'replace', path: '/metadata/managedFields', value: kept },
  ];
}

/**
 * Whether the fields are only `caBundle`, in the form of managedFields: `f:NAME`, `k:KEY`, and `.` for the object
 * itself.
 */
function isCaManager(fields: unknown): boolean {
  if (typeof fields !== 'object' || fields === null) return false;
  const entries = Object.entries(fields);
  return (
    entries.length > 0 &&
    entries.every(([name, inner]) => name === 'f:caBundle' || (name !== '.' && isCaManager(inner)))
  );
}
