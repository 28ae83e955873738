/** What is to be done so that an object that calls the service verifies its certificate by these authorities. */
export interface CallerChanges {
  /** A JSON patch; empty when nothing is to be changed. */
  readonly patch: readonly object[];
  /** Hosts that it calls and that the certificate does not name: their authority is another's, and is left as it is. */
  readonly elsewhere: readonly string[];
}

interface Call {
  /** JSON pointer of the authority. */
  readonly path: string;
  readonly host: string;
  readonly caBundle: string | undefined;
}

interface ClientConfig {
  readonly url?: string;
  readonly service?: { readonly name: string; readonly namespace: string };
  readonly caBundle?: string;
}

/** Of Gatekeeper's Provider. */
export function providerChanges(object: unknown, names: readonly string[], bundle: string): CallerChanges {
  const { url = '', caBundle } = (object as { readonly spec?: { url?: string; caBundle?: string } }).spec ?? {};
  return changes([{ path: '/spec/caBundle', host: hostOf(url), caBundle }], names, bundle);
}

/** Of a MutatingWebhookConfiguration. */
export function webhookChanges(object: unknown, names: readonly string[], bundle: string): CallerChanges {
  const { webhooks = [] } = object as { readonly webhooks?: readonly { readonly clientConfig: ClientConfig }[] };
  const calls = webhooks.map(({ clientConfig: { url = '', service, caBundle } }, index) => ({
    path: `/webhooks/${index}/clientConfig/caBundle`,
    // By this name the API server verifies whom a Service leads to.
    host: service === undefined ? hostOf(url) : `${service.name}.${service.namespace}.svc`,
    caBundle,
  }));
  return changes(calls, names, bundle);
}

function changes(calls: readonly Call[], names: readonly string[], bundle: string): CallerChanges {
  const value = Buffer.from(bundle).toString('base64');
  const known = new Set(names.map((name) => name.toLowerCase()));
  return {
    patch: calls
      .filter(({ host, caBundle }) => known.has(host) && caBundle !== value)
      .map(({ path }) => ({ op: 'add', path, value })),
    elsewhere: [...new Set(calls.map(({ host }) => host).filter((host) => !known.has(host)))],
  };
}

/** Without the brackets of an IPv6 address, as `tls.dnsNames` has it. */
function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname.replaceAll(/^\[|\]$/g, '') : url;
}
