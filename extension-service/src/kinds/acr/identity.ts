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

const PUBLIC_AUTHORITY = 'https://login.microsoftonline.com/';

/** The identity, or the missing settings. */
export function identityOf(
  { tenantId, clientId }: AcrConfig,
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
  return { tenantId: tenant, clientId: client, tokenFile, authority: env['AZURE_AUTHORITY_HOST'] || PUBLIC_AUTHORITY };
}

/**
 * The audience that the registry's Entra token must have. Azure's public cloud has an audience for registries;
 * registries of the other clouds use their resource manager's.
 */
export function audienceOf(host: string): string {
  if (host.endsWith('.azurecr.cn')) return 'https://management.chinacloudapi.cn';
  if (host.endsWith('.azurecr.us')) return 'https://management.usgovcloudapi.net';
  return 'https://containerregistry.azure.net';
}
