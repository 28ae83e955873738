import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';

export interface LeaseIdentity {
  /** Name of the Pod, or of the host. */
  readonly name: string;
  /** `NAME_UUID`, unique for each process. */
  readonly identity: string;
  /** Set in a Pod. */
  readonly podName?: string;
}

/** The identity of this process in the Lease: its Pod from POD_NAME, elsewhere the host. */
export function leaseIdentity(env: Readonly<Record<string, string | undefined>>): LeaseIdentity {
  const podName = env['POD_NAME'];
  const inPod = podName !== undefined && podName !== '';
  const name = inPod ? podName : hostname();
  return { name, identity: `${name}_${randomUUID()}`, ...(inPod && { podName }) };
}
