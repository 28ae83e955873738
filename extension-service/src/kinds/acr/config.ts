/** A registry of Azure Container Registry, with the identity that logs in to it. */
export interface AcrConfig {
  /** The login server: `NAME.azurecr.io`, or `NAME.REGION.geo.azurecr.io` for one geo-replica. */
  readonly registry: string;
  /** Path below the host, without leading or trailing slashes; '' for none. */
  readonly prefix: string;
  /** The Microsoft Entra tenant of the identity; default AZURE_TENANT_ID. */
  readonly tenantId?: string;
  /** The managed identity or application; default AZURE_CLIENT_ID. */
  readonly clientId?: string;
}
