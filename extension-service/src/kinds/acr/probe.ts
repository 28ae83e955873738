import type { LoginSource } from '../../credentials/renewed-login.js';
import type { RegistryClient } from '../../registry/client.js';
import { RegistryError } from '../../registry/errors.js';
import { messageOf } from '../../util/message-of.js';
import { PROBE_REPOSITORY } from '../probe.js';
import type { Probe } from '../probe.js';

export interface AcrProbe {
  /** `target NAME (HOST)` or `source HOST`. */
  readonly registry: string;
  readonly isTarget: boolean;
  /** Path below the host; '' for none. */
  readonly path: string;
  /** The identity, for messages. */
  readonly who: string;
  readonly login: LoginSource;
  readonly client: RegistryClient;
  readonly signal: AbortSignal;
}

/** Logs in, and tests the right to push; changes nothing. */
export async function probeAcr(probe: AcrProbe): Promise<readonly Probe[]> {
  const { registry, isTarget, path, who, login, client, signal } = probe;
  try {
    const { expires } = await login.get();
    const message = `${who}, until ${new Date(expires).toISOString()}`;
    const loggedIn: Probe = { registry, check: 'login', ok: true, message };
    if (!isTarget) return [loggedIn];
    const repository = path === '' ? PROBE_REPOSITORY : `${path}/${PROBE_REPOSITORY}`;
    return [loggedIn, await probeRole({ registry, who, push: () => client.probePush(repository, { signal }) })];
  } catch (error) {
    return [{ registry, check: 'login', ok: false, message: messageOf(error) }];
  }
}

async function probeRole({
  registry,
  who,
  push,
}: {
  readonly registry: string;
  readonly who: string;
  readonly push: () => Promise<unknown>;
}): Promise<Probe> {
  try {
    await push();
    return { registry, check: 'role', ok: true, message: 'the identity may push' };
  } catch (error) {
    const refused = error instanceof RegistryError && (error.kind === 'unauthorized' || error.kind === 'forbidden');
    if (!refused) return { registry, check: 'role', ok: false, message: messageOf(error) };
    const message =
      `${who} may not push: assign it the role AcrPush on the registry, or, for a registry in ABAC mode, Container Registry ` +
      'Repository Writer';
    return { registry, check: 'role', ok: false, message };
  }
}
