import { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import type { CaBundleUse } from '../core/engines/engine.js';
import { normalizeCertificates } from '../core/policies/pem.js';
import { messageOf } from '../util/message-of.js';
import { parseUrl } from '../util/parse-url.js';
import { withoutBrackets } from '../util/without-brackets.js';
import { statusOf } from './api-problem.js';
import { describeApiFailure } from './api-failure.js';
import type { ClusterAccess } from './api.js';
import { callOptions } from './call-options.js';
import type { ComparedPolicy } from './compare-policies.js';

/** The service's address in a policy, and the CA certificates with which its caller verifies it. */
export interface PolicyCall extends CaBundleUse {
  /** `KIND NAME` of the policy. */
  readonly policy: string;
}

export interface CallChecks {
  /** The ConfigMap of the service's CA certificate, with `tls.mode: selfSigned`. */
  readonly caConfigMap?: string;
  readonly now: Date;
  /** This process runs in the cluster, where the names of Services resolve. */
  readonly isInPod: boolean;
}

const TIMEOUT_MS = 5_000;
/** Names of Services resolve only in the cluster. */
const SERVICE = /^(?<name>[a-z0-9-]+)\.(?<namespace>[a-z0-9-]+)\.svc(?:\..+)?$/;
/** Node's codes for a certificate that is not accepted: OpenSSL's verification errors, and another name in it. */
const CERTIFICATE_CODE = /CERT|SIGNATURE|^ERR_TLS_/;

interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly service: { readonly name: string; readonly namespace: string } | undefined;
}

/** Checks whether a policy's calls can arrive: its CA certificates, and the address. */
export async function checkCall(
  cluster: ClusterAccess,
  call: PolicyCall,
  checks: CallChecks,
): Promise<readonly ComparedPolicy[]> {
  const endpoint = endpointOf(call);
  if (endpoint === undefined) return [bad(call, `does not call an https address: ${call.address}`)];
  const { caBundle } = call;
  if (caBundle === undefined || caBundle === '') {
    const message = `has no CA certificate (caBundle): its caller accepts only certificates that it trusts anyway`;
    return [unknown(call, message), await reach(cluster, call, endpoint, checks)];
  }
  let pem: string;
  try {
    pem = normalizeCertificates(Buffer.from(caBundle, 'base64').toString(), 'caBundle');
    const certificates = blocksOf(pem).map((block) => new X509Certificate(block));
    if (!certificates.some((certificate) => isValid(certificate, checks.now))) {
      const until = certificates.map(({ validTo }) => validTo).join(', ');
      return [bad(call, `has no valid CA certificate: those of its caBundle are valid until ${until}`)];
    }
  } catch (error) {
    return [bad(call, `its caBundle contains no certificates: ${messageOf(error)}`)];
  }
  const other = await differsFromConfigMap(cluster, endpoint, pem, checks);
  if (other !== undefined) return [bad(call, other)];
  return [await reach(cluster, call, endpoint, checks, pem)];
}

function endpointOf({ address, port }: PolicyCall): Endpoint | undefined {
  const url = parseUrl(address.includes('://') ? address : `https://${address}:${port ?? 443}`);
  if (url?.protocol !== 'https:') return undefined;
  const host = withoutBrackets(url.hostname);
  const { name, namespace } = SERVICE.exec(host)?.groups ?? {};
  const service = name === undefined || namespace === undefined ? undefined : { name, namespace };
  return { host, port: url.port === '' ? 443 : Number(url.port), service };
}

function blocksOf(pem: string): readonly string[] {
  return pem.split(/(?<=-----END CERTIFICATE-----\n)/).filter((block) => block.trim() !== '');
}

function isValid({ validFrom, validTo }: X509Certificate, now: Date): boolean {
  return new Date(validFrom) <= now && now <= new Date(validTo);
}

/** Another install, or a service that was installed again, has another CA. @returns the problem, if there is one */
async function differsFromConfigMap(
  { core }: ClusterAccess,
  { service }: Endpoint,
  pem: string,
  { caConfigMap: name }: CallChecks,
): Promise<string | undefined> {
  if (name === undefined || service === undefined) return undefined;
  const { namespace } = service;
  try {
    const { data } = await core.readNamespacedConfigMap({ name, namespace }, await callOptions(undefined, TIMEOUT_MS));
    const published = normalizeCertificates(data?.['ca.crt'] ?? '', 'ca.crt');
    const known = new Set(blocksOf(pem));
    if (blocksOf(published).some((block) => known.has(block))) return undefined;
    return `has another CA certificate than the service: copy ca.crt of ConfigMap ${namespace}/${name} into its caBundle, or set policies.manage: true`;
  } catch {
    // Without the right to read it, or before the service has written it, the connection itself is the only check.
    return undefined;
  }
}

async function reach(
  cluster: ClusterAccess,
  call: PolicyCall,
  endpoint: Endpoint,
  { isInPod }: CallChecks,
  ca?: string,
): Promise<ComparedPolicy> {
  const { host, port, service } = endpoint;
  const where = `${host}:${port}`;
  if (service !== undefined && !isInPod) return throughApiServer(cluster, call, service, port);
  const failure = await handshake(endpoint, ca);
  if (failure === undefined) return good(call, `calls ${where}, whose certificate it accepts`);
  if (CERTIFICATE_CODE.test(failure.code)) {
    const message = `calls ${where}, whose certificate it does not accept: ${failure.message}`;
    return ca === undefined ? unknown(call, message) : bad(call, message);
  }
  if (service !== undefined) return throughApiServer(cluster, call, service, port);
  return unknown(call, `calls ${where}, which cannot be reached from here: ${failure.message}`);
}

interface Failure {
  readonly code: string;
  readonly message: string;
}

/** @returns undefined if the server has a certificate of the CA for this name */
function handshake({ host, port }: Endpoint, ca: string | undefined): Promise<Failure | undefined> {
  return new Promise((resolve) => {
    const servername = /^[\d.]+$|:/.test(host) ? '' : host;
    const socket = connect({ host, port, servername, ...(ca !== undefined && { ca }) });
    const end = (failure: Failure | undefined): void => {
      socket.destroy();
      resolve(failure);
    };
    socket.setTimeout(TIMEOUT_MS, () => end({ code: 'ETIMEDOUT', message: `no answer in ${TIMEOUT_MS / 1_000} s` }));
    socket.once('secureConnect', () => end(undefined));
    socket.once('error', (error: NodeJS.ErrnoException) => end({ code: error.code ?? '', message: error.message }));
  });
}

/** The API server connects to the Service as it does for a webhook, but does not verify the certificate. */
async function throughApiServer(
  { core }: ClusterAccess,
  call: PolicyCall,
  { name, namespace }: { readonly name: string; readonly namespace: string },
  port: number,
): Promise<ComparedPolicy> {
  const what = `Service ${namespace}/${name}`;
  try {
    await core.connectGetNamespacedServiceProxy(
      { name: `https:${name}:${port}`, namespace },
      await callOptions(undefined, TIMEOUT_MS),
    );
  } catch (error) {
    const { message } = describeApiFailure(error);
    const status = statusOf(error);
    if (status === 403) return unknown(call, `calls ${what}: not checked, because you may not get services/proxy`);
    if (status === undefined) return unknown(call, `calls ${what}: not checked: ${message}`);
    if ((status >= 502 && status <= 504) || (status === 404 && message.includes(`"${name}" not found`)))
      return bad(call, `calls ${what}, which the API server does not reach: ${message}`);
    // Every other answer is the service's own.
  }
  return good(call, `calls ${what}, which the API server reaches`);
}

function good({ policy }: PolicyCall, message: string): ComparedPolicy {
  return { policy, ok: true, message };
}

function bad({ policy }: PolicyCall, message: string): ComparedPolicy {
  return { policy, ok: false, message };
}

function unknown({ policy }: PolicyCall, message: string): ComparedPolicy {
  return { policy, ok: true, isUnknown: true, message };
}
