import type { AcrConfig } from './config.js';

/**
 * The identity for the login, and the service to log in to: from the configuration, else from the variables that the
 * workload identity webhook sets.
 */
export interface Identity {
  readonly tenantId: string;
  readonly clientId: string;
  /** The file with the ServiceAccount's token, which the kubelet replaces. */
  readonly tokenFile: string;
  /** The base URL of Microsoft Entra. */
  readonly authority: string;
}

/** A cloud of Azure. */
interface AzureCloud {
  /** The base URL of Microsoft Entra. */
  readonly authority: string;
  /** The audience that a registry's Entra token must have. */
  readonly audience: string;
}

/** The public cloud has an audience for registries. */
const PUBLIC_CLOUD: AzureCloud = {
  authority: 'https://login.microsoftonline.com/',
  audience: 'https://containerregistry.azure.net',
};

/** The other clouds by the suffix of their registries; registries there use the resource manager's audience. */
const OTHER_CLOUDS: Readonly<Record<string, AzureCloud>> = {
  '.azurecr.cn': {
    authority: 'https://login.chinacloudapi.cn/',
    audience: 'https://management.chinacloudapi.cn',
  },
  '.azurecr.us': {
    authority: 'https://login.microsoftonline.us/',
    audience: 'https://management.usgovcloudapi.net',
  },
};

/** The cloud of a registry's host, which may have a port. */
export function cloudOf(host: string): AzureCloud {
  const name = host.toLowerCase().replace(/:[0-9]+$/, '');
  return Object.entries(OTHER_CLOUDS).find(([suffix]) => name.endsWith(suffix))?.[1] ?? PUBLIC_CLOUD;
}

/** The identity, or the missing settings. */
export function identityOf(
  { registry, tenantId, clientId }: AcrConfig,
  env: Readonly<Record<string, string | undefined>>,
): Identity | { readonly missing: readonly string[] } {
  const tenant = tenantId ?? env['AZURE_TENANT_ID'] ?? '';
  const client = clientId ?? env['AZURE_CLIENT_ID'] ?? '';
  const tokenFile = env['AZURE_FEDERATED_TOKEN_FILE'] ?? '';
  const missing = [
    ...(tenant === '' ? ['acr.tenantId or AZURE_TENANT_ID'] : []),
    ...(client === '' ? ['acr.clientId or AZURE_CLIENT_ID'] : []),
    ...(tokenFile === '' ? ['AZURE_FEDERATED_TOKEN_FILE'] : []),
  ];
  if (missing.length > 0) return { missing };
  // The webhook of another cloud sets the variable; without the webhook, the registry's host tells its cloud.
  const authority = env['AZURE_AUTHORITY_HOST'] || cloudOf(registry).authority;
  return { tenantId: tenant, clientId: client, tokenFile, authority };
}
