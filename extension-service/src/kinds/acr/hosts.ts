import type { CloudLogin } from '../cloud.js';
import type { AcrConfig } from './config.js';
import { acrNaming } from './naming.js';

/** The host that images of the registry are named with. */
export function acrHost(acr: AcrConfig): string {
  return acrNaming.place(acr).host;
}

/** The registry alone: its refresh token is for no other. */
export function acrCovers(acr: AcrConfig): CloudLogin['covers'] {
  const own = withoutDefaultPort(acrHost(acr));
  return (host) => withoutDefaultPort(host.toLowerCase()) === own;
}

function withoutDefaultPort(host: string): string {
  return host.replace(/:443$/, '');
}
