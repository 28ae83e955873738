import { InvalidPolicyOptionError } from '../policies/problem.js';
import { parseServiceUrl } from '../policies/url.js';
import type { ConfigMapKey, EngineTransport } from './engine.js';
import { engineNamed, ENGINES } from './engines.js';
import type { EngineChoice } from './engines.js';
import type { EngineName } from './names.js';

/**
 * - `plain-http`: no TLS. The service needs a separate listener for it, to which a NetworkPolicy admits only Kyverno.
 * - `private-ca`: TLS with a certificate of your own CA. The policies embed the CA certificate, except MutatingPolicy,
 * for which it belongs in Kyverno's trust store.
 * - `public`: TLS with a certificate of a public CA. The service needs a public name, and no CA certificate is
 * embedded.
 */
export type Tls = 'plain-http' | 'private-ca' | 'public';

export interface TransportOptions {
  readonly engine: EngineName;
  /** `policies.undecidable`. */
  readonly undecidable?: EngineChoice['undecidable'];
  /** Default: `plain-http` for MutatingPolicy, which needs no change to Kyverno, else `private-ca`. */
  readonly tls?: Tls;
  /** Base address; by default the Service `image-swapper` in the namespace `image-swapper`. */
  readonly url?: string;
  readonly caBundle?: string;
  readonly caConfigMap?: ConfigMapKey;
  /** Whether a NetworkPolicy is rendered for the plain listener, if the address is a Service's. */
  readonly networkPolicy: boolean;
  readonly failClosed: boolean;
  /** The namespaces that are excluded in addition to the default ones; undefined if unknown here. */
  readonly excludedNamespaces?: readonly string[];
}

export interface Transport {
  readonly tls: Tls;
  readonly url: string;
  /** Whether a NetworkPolicy for the plain listener is possible and wanted. */
  readonly guarded: boolean;
  /** The CA certificates that the policy carries. */
  readonly ca: { readonly caBundle?: string; readonly caConfigMap?: ConfigMapKey };
  /** Drawbacks of the choice, for users. */
  readonly warnings: readonly string[];
}

export const TLS_URL = 'https://image-swapper.image-swapper.svc:8443';
export const PLAIN_URL = 'http://image-swapper.image-swapper.svc:8081';

/** The Service of a default install; `namespace` replaces the default namespace. */
export function defaultUrl(engine: EngineName, namespace = 'image-swapper'): string {
  const url = ENGINES[engine].transport?.plainHttp === 'default' ? PLAIN_URL : TLS_URL;
  return url.replace('.image-swapper.svc', `.${namespace}.svc`);
}

/**
 * How an engine reaches the service, and which CA certificates it trusts.
 *
 * @throws InvalidPolicyOptionError for options that the engine does not support
 */
export function transportOf(options: TransportOptions): Transport {
  const { transport } = engineNamed(options.engine, options);
  if (transport === undefined) return noCall(options);
  const { tls = transport.plainHttp === 'default' ? 'plain-http' : 'private-ca' } = options;
  checkChoice(options, transport, tls);
  const url = options.url ?? (tls === 'plain-http' ? PLAIN_URL : TLS_URL);
  const scheme = tls === 'plain-http' ? 'http://' : 'https://';
  if (!url.startsWith(scheme)) {
    throw new InvalidPolicyOptionError('url', `${JSON.stringify(url)} must begin with ${scheme} under tls "${tls}"`);
  }
  const { caBundle, caConfigMap } = options;
  const guardable = tls === 'plain-http' && parseServiceUrl(url, 'url').service !== undefined;
  const guarded = guardable && options.networkPolicy;
  return {
    tls,
    url,
    guarded,
    ca:
      transport.ca.place !== 'policy'
        ? {}
        : { ...(caBundle !== undefined && { caBundle }), ...(caConfigMap !== undefined && { caConfigMap }) },
    warnings: transportWarnings({ ...options, url, tls }),
  };
}

export interface WarningOptions extends Pick<TransportOptions, 'engine' | 'undecidable' | 'caBundle' | 'caConfigMap'> {
  readonly url: string;
  /** Default: follows from the address. */
  readonly tls?: Tls;
  /** As for the transport; undefined if the caller cannot render one. */
  readonly networkPolicy?: boolean;
  readonly failClosed?: boolean | undefined;
  /** As for the transport. */
  readonly excludedNamespaces?: readonly string[] | undefined;
}

/** Drawbacks of calling the service at this address, for users; rejects nothing. */
export function transportWarnings(options: WarningOptions): readonly string[] {
  const { engine, url, networkPolicy, caBundle, caConfigMap, failClosed } = options;
  const { transport } = engineNamed(engine, options);
  if (transport === undefined) return [];
  const hasCa = (caBundle ?? caConfigMap) !== undefined;
  const tls = options.tls ?? (url.startsWith('http://') ? 'plain-http' : hasCa ? 'private-ca' : 'public');
  const { service } = parseServiceUrl(url, 'url');
  const guarded = networkPolicy === true && service !== undefined;
  return [
    ...(tls === 'plain-http' && !guarded ? [unguarded(url, service !== undefined, networkPolicy)] : []),
    ...(tls === 'public' && service !== undefined && !hasCa ? untrusted(transport, url) : []),
    ...warningsOf(engine, tls, failClosed === true),
    ...ownNamespaceWarnings(options),
  ];
}

/** For an engine that decides without the service. */
function noCall({ engine, ...given }: TransportOptions): Transport {
  const useless = (['tls', 'url', 'caBundle', 'caConfigMap'] as const).find((option) => given[option] !== undefined);
  if (useless !== undefined) {
    throw new InvalidPolicyOptionError(useless, `has no effect under ${engine}, which calls no service; leave it out`);
  }
  return { tls: 'public', url: TLS_URL, guarded: false, ca: {}, warnings: [] };
}

function checkChoice(
  { engine, caBundle, caConfigMap }: TransportOptions,
  { plainHttp, ca: engineCa }: EngineTransport,
  tls: Tls,
): void {
  const refuse = (option: string, reason: string): never => {
    throw new InvalidPolicyOptionError(option, reason);
  };
  const choices: readonly unknown[] = ['plain-http', 'private-ca', 'public'];
  if (!choices.includes(tls)) refuse('tls', `${JSON.stringify(tls)} is not one of ${choices.join(', ')}`);
  if (tls === 'plain-http' && plainHttp === 'refused')
    refuse('tls', `${engine} does not support "plain-http"; choose "private-ca"`);
  if (tls === 'public' && engineCa.required)
    refuse(
      'tls',
      `${engine} does not support "public", because it trusts only the caBundle of the policy; choose "private-ca"`,
    );
  const ca = caBundle === undefined ? 'caConfigMap' : 'caBundle';
  const hasCa = (caBundle ?? caConfigMap) !== undefined;
  if (tls !== 'private-ca' && hasCa) refuse(ca, `has no effect under tls "${tls}"; leave it out`);
  if (tls === 'private-ca' && !hasCa)
    refuse('caBundle', `is required under tls "private-ca": ${engineCa.configMap ? CA_SOURCES_HINT : CA_BUNDLE_HINT}`);
  if (caConfigMap !== undefined && !engineCa.configMap)
    refuse('caConfigMap', `is not supported by ${engine}; set caBundle`);
}

const CA_BUNDLE_HINT =
  'the CA certificate of the service, in PEM (ca.crt in its ConfigMap image-swapper-ca, where it makes its certificate itself)';
const CA_SOURCES_HINT = `${CA_BUNDLE_HINT}; or give caConfigMap, the ConfigMap that holds it`;

/** A public CA signs no names under `.svc`, and a default install's certificate is signed by its own CA. */
function untrusted({ ca: authority }: EngineTransport, url: string): string[] {
  if (authority.untrusted === undefined) return [];
  const begin = `${JSON.stringify(url)} is a Service, for which public CAs sign no certificates, and the policy contains no CA certificate.`;
  return [`${begin} ${authority.untrusted}`];
}

/**
 * A NetworkPolicy restricts the callers; only TLS prevents others on the network path from reading and changing
 * traffic.
 */
function unguarded(url: string, guardable: boolean, networkPolicy: boolean | undefined): string {
  const none = 'no NetworkPolicy for the plain listener';
  const chosen =
    networkPolicy === undefined ? `the policy comes with ${none}` : `networkPolicy is false, so ${none} is rendered`;
  const why = guardable ? chosen : `${JSON.stringify(url)} is not a Service, so ${none} can be rendered`;
  return (
    `plain HTTP: ${why}. Without one, every Pod that reaches the listener can make the service copy images, and the ` +
    "network in between can read and change requests. Apply the NetworkPolicy of the service's chart " +
    '(networkPolicy.enabled), or call the service by https with a certificate of your own CA.'
  );
}

function warningsOf(engine: EngineName, tls: Tls, failClosed: boolean): string[] {
  const warnings: string[] = [];
  if (tls === 'plain-http' && ENGINES[engine].transport?.plainHttp === 'possible')
    warnings.push(
      `plain HTTP has no advantage with ${engine}, which can embed your CA certificate. Use https with caConfigMap or ` +
        'caBundle.',
    );
  if (failClosed)
    warnings.push(
      'failClosed: while the service is down, no Pod starts in the namespaces that the policy covers. Run at least ' +
        'two replicas, on different nodes.',
    );
  return warnings;
}

/** For a Service's address, the namespace is known, and excluded. */
function ownNamespaceWarnings({ url, failClosed, excludedNamespaces }: WarningOptions): string[] {
  if (failClosed !== true || excludedNamespaces?.length !== 0 || parseServiceUrl(url, 'url').service !== undefined)
    return [];
  return [
    `failClosed: ${JSON.stringify(url)} is not a Service (NAME.NAMESPACE.svc), and excludedNamespaces contains no ` +
      'namespace: if the service runs in this cluster, its own Pods need it to start, so it cannot recover from an outage. Add the ' +
      "service's namespace to excludedNamespaces.",
  ];
}
