import type { CloudLogin } from '../cloud.js';
import { azureLoginServerOf } from '../../core/image/azure-endpoints.js';
import type { AcrConfig } from './config.js';
import { acrNaming } from './naming.js';

/** The host in the names of the registry's images. */
export function acrHost(acr: AcrConfig): string {
  return acrNaming.place(acr).host;
}

/** Only this registry, at its global and regional endpoints: its refresh token is not valid for others. */
export function acrCovers(acr: AcrConfig): CloudLogin['covers'] {
  const own = registryOf(acrHost(acr));
  return (host) => registryOf(host.toLowerCase()) === own;
}

function registryOf(host: string): string {
  return azureLoginServerOf(host.replace(/:443$/, ''));
}
