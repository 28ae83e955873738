/**
 * Endpoints of one Azure registry: `NAME.REGION.geo.azurecr.io` is the login server of one geo-replica, and
 * `NAME.REGION.data.azurecr.io` serves its layers (learn.microsoft.com, container-registry-endpoint-reference).
 */
const ENDPOINT = /^([a-z0-9-]+)\.[a-z0-9]+\.(geo|data)\.(azurecr\.(?:cn|io|us))$/;

/** The registry's name `NAME.azurecr.io` for any of its endpoints; other names unchanged. Lower case, without a port. */
export function azureRegistryOf(name: string): string {
  return name.replace(ENDPOINT, '$1.$3');
}

/** The same for login servers alone: the endpoint of layers takes no login. */
export function azureLoginServerOf(name: string): string {
  return ENDPOINT.exec(name)?.[2] === 'geo' ? azureRegistryOf(name) : name;
}
