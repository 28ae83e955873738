import { isObject } from '../../core/decide/pod.js';
import type { Json, JsonObject } from '../../core/decide/pod.js';
import type { ObjectReference } from '../object-reference.js';
import type { WorkloadKind } from './kinds.js';

/** An object's identity and its controller's uid; undefined if it is not of the kind. */
export function identify(
  kind: WorkloadKind,
  { metadata }: JsonObject,
): { readonly reference: ObjectReference; readonly owner: string | undefined } | undefined {
  if (!isObject(metadata)) return undefined;
  const { uid, name, namespace, ownerReferences } = metadata;
  if (typeof uid !== 'string' || typeof name !== 'string' || typeof namespace !== 'string') return undefined;
  const owners = Array.isArray(ownerReferences) ? ownerReferences : [];
  const owner = owners.find((entry: Json): entry is JsonObject => isObject(entry) && entry['controller'] === true);
  const ownerUid = owner?.['uid'];
  return {
    reference: { apiVersion: kind.apiVersion, kind: kind.kind, namespace, name, uid },
    owner: typeof ownerUid === 'string' ? ownerUid : undefined,
  };
}
