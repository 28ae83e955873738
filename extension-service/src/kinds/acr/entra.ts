import { readFile } from 'node:fs/promises';
import { RegistryError } from '../../registry/errors.js';
import { untilAborted } from '../../registry/transport/abort.js';
import type { Identity } from './identity.js';
import { audienceOf } from './identity.js';
import { entraProblem } from './problems.js';

/** One token, with the library's own tries. */
const TOKEN_TIMEOUT_MS = 30_000;

/**
 * A token of Microsoft Entra for the registry, for the Pod's ServiceAccount token. A credential lives for one call: the
 * library would keep the content of the file for five minutes after the kubelet has replaced it.
 *
 * @throws RegistryError that names the tenant, the client and what to change
 */
export async function entraToken(host: string, identity: Identity): Promise<string> {
  const { tenantId, clientId, tokenFile, authority } = identity;
  await checkTokenFile(host, tokenFile);
  const sdk = await import('./sdk.js');
  try {
    const credential = new sdk.WorkloadIdentityCredential({
      tenantId,
      clientId,
      tokenFilePath: tokenFile,
      authorityHost: authority,
      // The authority is the administrator's choice, and the discovery would ask Azure's public cloud about it.
      disableInstanceDiscovery: true,
    });
    const signal = AbortSignal.timeout(TOKEN_TIMEOUT_MS);
    const asked = credential.getToken(`${audienceOf(host)}/.default`, { abortSignal: signal });
    return (await untilAborted(asked, signal)).token;
  } catch (error) {
    throw entraProblem(host, identity, error);
  }
}

async function checkTokenFile(host: string, tokenFile: string): Promise<void> {
  const text = await readFile(tokenFile, 'utf8').catch((error: unknown) => {
    const { code = String(error) } = error as NodeJS.ErrnoException;
    const message = `AZURE_FEDERATED_TOKEN_FILE ${tokenFile} cannot be read: ${code}`;
    throw new RegistryError(message, { kind: 'unauthorized', host, retryable: true, cause: error });
  });
  if (text.trim() !== '') return;
  const message = `AZURE_FEDERATED_TOKEN_FILE ${tokenFile} is empty`;
  throw new RegistryError(message, { kind: 'unauthorized', host, retryable: true });
}
