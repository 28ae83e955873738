/** A registry of Azure Container Registry, with the identity that logs in to it. */
export interface AcrConfig {
  /** The login server: `NAME.azurecr.io`. */
  readonly registry: string;
  /** Path under the host, without slashes around it; '' for none. */
  readonly prefix: string;
  /** The Microsoft Entra tenant of the identity; AZURE_TENANT_ID unless given. */
  readonly tenantId?: string;
  /** The managed identity or application; AZURE_CLIENT_ID unless given. */
  readonly clientId?: string;
}
