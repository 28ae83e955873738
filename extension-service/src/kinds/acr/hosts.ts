import type { CloudLogin } from '../cloud.js';
import type { AcrConfig } from './config.js';
import { acrNaming } from './naming.js';

/** The host in the names of the registry's images. */
export function acrHost(acr: AcrConfig): string {
  return acrNaming.place(acr).host;
}

/** Only this registry: its refresh token is not valid for others. */
export function acrCovers(acr: AcrConfig): CloudLogin['covers'] {
  const own = withoutDefaultPort(acrHost(acr));
  return (host) => withoutDefaultPort(host.toLowerCase()) === own;
}

function withoutDefaultPort(host: string): string {
  return host.replace(/:443$/, '');
}
