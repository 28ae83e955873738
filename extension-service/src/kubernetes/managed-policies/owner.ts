import { createHash } from 'node:crypto';
import type { Config } from '../../core/config/model.js';

/** The field manager: an object that it never applied belongs to someone else, regardless of its labels. */
export const FIELD_MANAGER = 'image-swapper';

export const MANAGED_BY = 'app.kubernetes.io/managed-by';
const INSTANCE = 'image-swapper.io/instance';
/** Identifies the owner, as `NAMESPACE/NAME`. */
export const LEASE_ANNOTATION = 'image-swapper.io/lease';

/** An install of the service: the replicas that share a Lease. */
export interface Owner {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** @param namespace the service's own */
export function ownerOf({ lease }: Pick<Config, 'lease'>, namespace: string): Owner {
  const name = `${lease.namespace ?? namespace}/${lease.name}`;
  const labels = { [MANAGED_BY]: FIELD_MANAGER, [INSTANCE]: instanceOf(name) };
  return { labels, annotations: { [LEASE_ANNOTATION]: name } };
}

/** A label allows 63 characters and no slash. */
function instanceOf(lease: string): string {
  return createHash('sha256').update(lease).digest('hex').slice(0, 16);
}

/** The Lease (`NAMESPACE/NAME`) of another install that manages the object; undefined if there is none. */
export function otherOwner(
  { metadata: { labels = {}, annotations = {} } }: LabeledObject,
  own: Owner,
): string | undefined {
  const lease = annotations[LEASE_ANNOTATION];
  if (lease === undefined || lease === own.annotations[LEASE_ANNOTATION]) return undefined;
  // If another install took over, it changed the labels as well. An annotation that was changed alone is corrected.
  return labels[MANAGED_BY] === FIELD_MANAGER && labels[INSTANCE] === instanceOf(lease) ? lease : undefined;
}

interface LabeledObject {
  readonly metadata: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}
