import { isIP } from 'node:net';
import { azureRegistryOf } from '../../core/image/azure-endpoints.js';
import { canonicalName } from './known-names.js';

/** Second-level labels under which countries register names: `example.co.uk`. */
const SECOND_LEVEL = new Set([
  'ac',
  'co',
  'com',
  'edu',
  'gob',
  'gov',
  'gouv',
  'go',
  'mil',
  'ne',
  'net',
  'nom',
  'or',
  'org',
]);
/** Domains of clouds under which anyone may have a name, at several depths: each whole name is a site. */
const SHARED_AT_ANY_DEPTH = [
  'amazonaws.com',
  'amazonaws.com.cn',
  'appspot.com',
  'azure.com',
  'on.aws',
  'run.app',
  'windows.net',
];
/** Domains under which anyone may have a name, and all their subdomains. */
const SHARED = [
  'azurecr.cn',
  'azurecr.io',
  'azurecr.us',
  'azurewebsites.net',
  'cloudapp.net',
  'cloudfront.net',
  'duckdns.org',
  'fly.dev',
  'github.io',
  'gitlab.io',
  'herokuapp.com',
  'jfrog.io',
  'kasm.cloud',
  'netlify.app',
  'ngrok.io',
  'ngrok.app',
  'ngrok-free.app',
  'nip.io',
  'onrender.com',
  'pages.dev',
  'pkg.dev',
  'railway.app',
  'sslip.io',
  'traefik.me',
  'trycloudflare.com',
  'ts.net',
  'vercel.app',
  'web.app',
  'workers.dev',
];

/** Token servers of registries at other sites. */
const KNOWN_TOKEN_HOSTS: readonly { readonly registry: RegExp; readonly hosts: readonly string[] }[] = [
  { registry: /^(?:registry-1\.)?docker\.io$|^registry\.hub\.docker\.com$|^dhi\.io$/, hosts: ['auth.docker.io'] },
  { registry: /^nvcr\.io$/, hosts: ['authn.nvidia.com'] },
  { registry: /^registry\.redhat\.io$/, hosts: ['sso.redhat.com'] },
  { registry: /\.scw\.cloud$/, hosts: ['api.scaleway.com'] },
];

/** Whether a registry is known to use the token server `realm`; both are host names without a port. */
export function isKnownTokenHost(registry: string, realm: string): boolean {
  const [from, to] = [canonicalName(registry), canonicalName(realm)];
  return KNOWN_TOKEN_HOSTS.some((known) => known.registry.test(from) && known.hosts.includes(to));
}

/**
 * Whether two host names without ports belong to the same owner: the same registered domain, or the same namespace of a
 * cluster.
 */
export function isSameSite(left: string, right: string): boolean {
  const site = registrableDomain(canonicalName(left));
  return site !== '' && site === registrableDomain(canonicalName(right));
}

/**
 * The registered domain of a name, by rules instead of the public suffix list: too narrow for a few names, and never
 * wider than the domain of one owner. An address and a name with one label are separate sites.
 */
function registrableDomain(host: string): string {
  const name = azureRegistryOf(host);
  const labels = name.split('.');
  if (isIP(name) !== 0 || labels.length < 2) return name;
  if (SHARED_AT_ANY_DEPTH.some((domain) => name.endsWith(`.${domain}`))) return name;
  // Services of a cluster: <service>.<namespace>.svc[.cluster domain].
  const svc = labels.lastIndexOf('svc');
  if (svc >= 1) return labels.slice(svc - 1).join('.');
  const shared = SHARED.find((domain) => name === domain || name.endsWith(`.${domain}`));
  if (shared !== undefined) return labels.slice(-(shared.split('.').length + 1)).join('.');
  const [second = '', top = ''] = labels.slice(-2);
  return labels.slice(top.length === 2 && SECOND_LEVEL.has(second) ? -3 : -2).join('.');
}
