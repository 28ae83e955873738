import { RegistryError } from '../../registry/errors.js';
import type { RegistryErrorKind } from '../../registry/errors.js';
import { messageOf } from '../../util/message-of.js';
import { AZURE_FIREWALL, AZURE_FIREWALL_ADVICE } from '../../registry/transport/worded-refusals.js';
import { cloudOf } from './identity.js';
import type { Identity } from './identity.js';

/** Advice for error codes of Microsoft Entra (learn.microsoft.com/entra/identity-platform/reference-error-codes). */
const ADVICE: Readonly<Record<string, string>> = {
  AADSTS90002: 'check acr.tenantId, or AZURE_TENANT_ID',
  AADSTS900023: 'check acr.tenantId, or AZURE_TENANT_ID',
  AADSTS700016: 'check acr.clientId (AZURE_CLIENT_ID): this identity does not exist in the tenant',
  AADSTS7000229: 'check acr.tenantId and acr.clientId: this application has no service principal in the tenant',
  AADSTS500011:
    'the tenant does not know this audience: AZURE_AUTHORITY_HOST and acr.tenantId must be of the cloud of the registry',
  AADSTS70021: 'add a federated credential for this ServiceAccount to the identity',
  AADSTS700211: "the issuer of the federated credential must be the cluster's OIDC issuer",
  AADSTS700212: 'the audience of the federated credential must be api://AzureADTokenExchange',
  AADSTS700213:
    'the subject of the federated credential must be system:serviceaccount:NAMESPACE:NAME of this ServiceAccount',
  AADSTS700024:
    'the token of the ServiceAccount has expired: check that the kubelet renews the file, and the clock of the node',
  AADSTS50166: "Entra does not reach the cluster's OIDC issuer; the service retries",
  AADSTS90061: "Entra does not reach the cluster's OIDC issuer; the service retries",
};

/** Failures of Entra, or of what it asks, that pass with time (same page; Azure/AKS#4029, Azure/azure-cli#28863). */
const PASSING: Readonly<Record<string, RegistryErrorKind>> = {
  AADSTS50087: 'server',
  AADSTS50166: 'server',
  AADSTS50196: 'throttled',
  AADSTS90006: 'server',
  AADSTS90033: 'server',
  AADSTS90055: 'throttled',
  AADSTS90061: 'server',
};

/** Why Microsoft Entra issues no token. Contains no token: Entra's messages name identities but not their secrets. */
export function entraProblem(host: string, identity: Identity, error: unknown): RegistryError {
  if (error instanceof RegistryError) return error;
  const { tenantId, clientId, authority } = identity;
  const text = errorText(error);
  const code = /AADSTS[0-9]+/.exec(text)?.[0];
  // The library does not report why it cannot find the endpoints of a tenant.
  const unknownTenant = /endpoints_resolution_error|invalid_tenant/.test(text);
  const advice = ADVICE[unknownTenant ? 'AADSTS90002' : (code ?? '')];
  const refused: RegistryErrorKind = code === undefined && !unknownTenant ? 'unreachable' : 'unauthorized';
  const kind = PASSING[code ?? ''] ?? refused;
  const own = cloudOf(host).authority;
  const more = [
    advice ?? (kind === 'unreachable' ? 'check the network, the proxy variables and AZURE_AUTHORITY_HOST' : ''),
    hostOf(authority) === hostOf(own) ? '' : `the cloud of ${host} has the AZURE_AUTHORITY_HOST ${own}`,
  ].filter((part) => part !== '');
  const message =
    `no Microsoft Entra token from ${hostOf(authority)} for tenant ${tenantId}, client ${clientId}: ` +
    [text, ...more].join('; ');
  return new RegistryError(message, { kind, host, advised: more.length > 0, cause: error });
}

/** No identity is configured. */
export function missingIdentity(host: string, missing: readonly string[]): RegistryError {
  const message =
    `no Azure workload identity was found: ${missing.join(', ')} must be set; the webhook sets the variables in Pods with ` +
    'the label azure.workload.identity/use: "true", for the ServiceAccount with azure.workload.identity/client-id';
  return new RegistryError(message, { kind: 'unauthorized', host, advised: true });
}

/** The registry rejects Entra's token. */
export function exchangeProblem(error: RegistryError, { tenantId, clientId }: Identity): RegistryError {
  if (error.kind !== 'unauthorized' && error.kind !== 'forbidden' && error.kind !== 'invalid') return error;
  const { host, status, diagnostics } = error;
  const text = diagnostics.map(({ code, message }) => `${code} ${message}`).join('; ');
  const advice = AZURE_FIREWALL.test(text)
    ? AZURE_FIREWALL_ADVICE
    : "the registry's subscription must be in this tenant, and the identity must have a role on it, such as AcrPush";
  const message =
    `the registry refuses the Microsoft Entra token of tenant ${tenantId}, client ${clientId} (HTTP ${status ?? 0}` +
    `${text === '' ? '' : `: ${text}`}); ${advice}`;
  return new RegistryError(message, {
    kind: 'unauthorized',
    host,
    advised: true,
    ...(status !== undefined && { status }),
    diagnostics,
    cause: error,
  });
}

/** The first sentence of Entra's own message, which is in the causes of the library's error. */
function errorText(error: unknown): string {
  const texts: string[] = [];
  for (let one: unknown = error; one instanceof Error && texts.length < 5; one = one.cause) {
    const { errorCode = '' } = one as { errorCode?: string };
    texts.push(`${errorCode} ${one.message}`.trim());
  }
  const all = texts.length === 0 ? messageOf(error) : texts.join(' ');
  const own = /AADSTS[0-9]+:[^\r\n]*?(?=\s*(?:Trace ID|Correlation ID|[\r\n]|$))/.exec(all)?.[0];
  return (own ?? all).slice(0, 400);
}

function hostOf(authority: string): string {
  return URL.canParse(authority) ? new URL(authority).host : authority;
}
