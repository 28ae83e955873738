import type { LoginSource } from '../../credentials/renewed-login.js';
import type { RegistryClient } from '../../registry/client.js';
import { RegistryError } from '../../registry/errors.js';
import { messageOf } from '../../util/message-of.js';
import { ABSENT_DIGEST, PROBE_REPOSITORY } from '../probe.js';
import type { Probe } from '../probe.js';

export interface AcrProbe {
  /** `target NAME (HOST)` or `source HOST`. */
  readonly registry: string;
  readonly isTarget: boolean;
  /** `gc` deletes images there. */
  readonly deletes: boolean;
  /** Path below the host; '' for none. */
  readonly path: string;
  /** The identity, for messages. */
  readonly principal: string;
  readonly login: LoginSource;
  readonly client: RegistryClient;
  readonly signal: AbortSignal;
}

/** Logs in, and tries the rights to push and to delete; nothing is changed. */
export async function probeAcr(probe: AcrProbe): Promise<readonly Probe[]> {
  const { registry, isTarget, deletes, path, principal, login, client, signal } = probe;
  try {
    const { expires } = await login.get();
    const message = `${principal}, until ${new Date(expires).toISOString()}`;
    const repository = path === '' ? PROBE_REPOSITORY : `${path}/${PROBE_REPOSITORY}`;
    const push = (): Promise<unknown> => client.probePush(repository, { signal });
    const remove = (): Promise<unknown> => client.deleteManifest(repository, ABSENT_DIGEST, { signal });
    return [
      { registry, check: 'login', ok: true, message },
      ...(isTarget ? [await probeRole({ registry, principal, right: 'push', attempt: push })] : []),
      ...(deletes ? [await probeRole({ registry, principal, right: 'delete', attempt: remove })] : []),
    ];
  } catch (error) {
    return [{ registry, check: 'login', ok: false, message: messageOf(error) }];
  }
}

/** Roles of a registry, and of one in ABAC mode. */
const ROLES = {
  push: { role: 'AcrPush', abac: 'Container Registry Repository Writer' },
  delete: { role: 'AcrDelete', abac: 'Container Registry Repository Contributor' },
} as const;

async function probeRole({
  registry,
  principal,
  right,
  attempt,
}: {
  readonly registry: string;
  readonly principal: string;
  readonly right: keyof typeof ROLES;
  readonly attempt: () => Promise<unknown>;
}): Promise<Probe> {
  try {
    await attempt();
    return { registry, check: 'role', ok: true, message: `the identity may ${right}` };
  } catch (error) {
    // A refusal with advice of its own has another cause, such as the registry's network rules.
    const lacksRole =
      error instanceof RegistryError && (error.kind === 'unauthorized' || error.kind === 'forbidden') && !error.advised;
    if (!lacksRole) return { registry, check: 'role', ok: false, message: messageOf(error) };
    const { role, abac } = ROLES[right];
    const message = `${principal} may not ${right}: assign it the role ${role} on the registry, or, for a registry in ABAC mode, ${abac}`;
    return { registry, check: 'role', ok: false, message };
  }
}
