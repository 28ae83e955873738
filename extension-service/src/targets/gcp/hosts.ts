import type { GcpConfig } from '../../core/config/model.js';
import { namingTarget } from '../../core/naming/target.js';
import type { CloudLogin } from '../cloud.js';

/** Which registries the login of a configured repository may be sent to. */
export function artifactRegistryCovers(gcp: GcpConfig): CloudLogin['covers'] {
  const { host: own } = namingTarget({ name: 'registry', type: 'gcp', gcp });
  return (host) => host === own;
}
