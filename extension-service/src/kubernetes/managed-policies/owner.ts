import { createHash } from 'node:crypto';
import type { Config } from '../../core/config/model.js';

/** Who writes: an object that this manager never applied is somebody else's, whatever its labels say. */
export const FIELD_MANAGER = 'image-swapper';

const MANAGED_BY = 'app.kubernetes.io/managed-by';
const INSTANCE = 'image-swapper.io/instance';

/** An install of the service: the replicas that share a Lease. */
export interface Owner {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Selects what carries the labels. */
  readonly selector: string;
}

/** @param namespace the service's own */
export function ownerOf({ lease }: Pick<Config, 'lease'>, namespace: string): Owner {
  const name = `${lease.namespace ?? namespace}/${lease.name}`;
  // A label takes 63 characters and no slash.
  const instance = createHash('sha256').update(name).digest('hex').slice(0, 16);
  const labels = { [MANAGED_BY]: FIELD_MANAGER, [INSTANCE]: instance };
  return {
    labels,
    annotations: { 'image-swapper.io/lease': name },
    selector: Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
  };
}
