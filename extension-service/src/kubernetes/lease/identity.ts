import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';

export interface LeaseIdentity {
  /** Name of the Pod, or of the host. */
  readonly name: string;
  /** `NAME_UUID`, another one for each process. */
  readonly identity: string;
  /** Set in a Pod. */
  readonly podName?: string;
}

/** Who this process is in the Lease: its Pod by POD_NAME, elsewhere the host. */
export function leaseIdentity(env: Readonly<Record<string, string | undefined>>): LeaseIdentity {
  const podName = env['POD_NAME'];
  const inPod = podName !== undefined && podName !== '';
  const name = inPod ? podName : hostname();
  return { name, identity: `${name}_${randomUUID()}`, ...(inPod && { podName }) };
}
