import { readFile } from 'node:fs/promises';
import { RegistryError } from '../../registry/errors.js';
import { untilAborted } from '../../registry/transport/abort.js';
import { trustingAgents } from '../trusting-agent.js';
import type { CloudNetwork } from '../trusting-agent.js';
import type { Identity } from './identity.js';
import { cloudOf } from './identity.js';
import { entraProblem } from './problems.js';

/** Time limit for one token, including the library's own retries. */
const TOKEN_TIMEOUT_MS = 30_000;

/**
 * Requests a Microsoft Entra token for the registry with the Pod's ServiceAccount token. A credential object is used
 * once, because the library would cache the file's content for five minutes after the kubelet has replaced it.
 *
 * @throws RegistryError with the tenant, the client and what to change
 */
export async function entraToken(host: string, identity: Identity, network: CloudNetwork): Promise<string> {
  const { tenantId, clientId, tokenFile, authority } = identity;
  await checkTokenFile(host, tokenFile);
  const sdk = await import('./sdk.js');
  // The library ignores a list of certificates behind a proxy.
  const agent = trustingAgents(network)?.(new URL(authority));
  try {
    const credential = new sdk.WorkloadIdentityCredential({
      tenantId,
      clientId,
      tokenFilePath: tokenFile,
      authorityHost: authority,
      // The administrator chooses the authority host; the discovery would send it to Azure's public cloud.
      disableInstanceDiscovery: true,
      ...(agent !== undefined && { agent }),
    });
    const signal = AbortSignal.timeout(TOKEN_TIMEOUT_MS);
    const asked = credential.getToken(`${cloudOf(host).audience}/.default`, { abortSignal: signal });
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
