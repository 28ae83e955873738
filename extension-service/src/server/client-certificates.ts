import { readFile } from 'node:fs/promises';
import { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { TlsConfig } from '../core/config/model.js';
import { CLIENT_ROUTES } from '../core/engines/routes.js';
import type { ClientRoute } from '../core/engines/routes.js';
import { TlsFileError } from './tls.js';

/** The client certificate that a route requires. */
export interface ClientRule {
  /** The configuration key, for messages. */
  readonly key: string;
  /** The CA certificates as PEM text. */
  readonly pem: string;
  readonly cas: readonly X509Certificate[];
  readonly names: readonly string[];
}

/** The routes that require one. */
export type ClientRules = { readonly [Route in ClientRoute]?: ClientRule };

/** Why a caller is rejected. */
export interface ClientRefusal {
  /** 401 without a certificate, 403 with a wrong one. */
  readonly status: 401 | 403;
  readonly code: 'client_certificate_missing' | 'client_certificate_refused';
  readonly message: string;
}

/**
 * Milliseconds for which previous settings remain valid after a change. A CA is exchanged in two Secrets, Gatekeeper's
 * own and its copy here, which reach their Pods a minute or two apart.
 */
const CHANGE_GRACE_MS = 5 * 60_000;
/** A leaf, its issuer, and the issuer's issuer: webhook certificates do not have longer chains. */
const MAX_CHAIN = 4;

/** @throws TlsFileError with the key and the file if one cannot be used */
export async function readClientRules(clients: TlsConfig['clients']): Promise<ClientRules> {
  const rules: { [Route in ClientRoute]?: ClientRule } = {};
  for (const route of CLIENT_ROUTES) {
    const config = clients[route];
    if (config === undefined) continue;
    const key = `tls.clients.${route}`;
    const pem = await readPem(config.caFile, `${key}.caFile`);
    rules[route] = { key, pem, cas: parse(pem, config.caFile, `${key}.caFile`), names: config.names };
  }
  return rules;
}

async function readPem(file: string, key: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new TlsFileError(`${key} ${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}

function parse(pem: string, file: string, key: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    const authorities = blocks.map((block) => new X509Certificate(block));
    if (authorities.length > 0 && authorities.every(({ ca }) => ca)) return authorities;
  } catch {
    // Reported below.
  }
  throw new TlsFileError(`${key} ${file}: not PEM CA certificates`);
}

/** Decides whether callers may use a route, by the client certificate of their connection. */
export class ClientCertificates {
  private before: { readonly rules: ClientRules; readonly until: number } | undefined;
  /** The result for each connection: a signature is not verified again for each request. */
  private readonly found = new WeakMap<Socket, Map<ClientRule, boolean>>();

  constructor(
    private rules: ClientRules,
    private readonly now: () => number,
  ) {}

  /** Whether TLS must request certificates. */
  get wanted(): boolean {
    return Object.keys(this.rules).length > 0;
  }

  /** Every accepted CA certificate, for the handshake; {@link refusal} decides which route it opens. */
  get authorities(): readonly string[] {
    return [this.rules, this.before?.rules ?? {}].flatMap((rules) => Object.values(rules).map(({ pem }) => pem));
  }

  /** @throws TlsFileError if requesting certificates starts or ends, which open listeners cannot change */
  check(next: ClientRules): void {
    if (Object.keys(next).length > 0 === this.wanted) return;
    throw new TlsFileError(`tls.clients: client certificates can be enabled or disabled only by a restart`);
  }

  /** @returns whether that is a change, which handshakes must apply */
  replace(next: ClientRules): boolean {
    if (same(this.rules, next)) return false;
    this.before = { rules: this.rules, until: this.now() + CHANGE_GRACE_MS };
    this.rules = next;
    return true;
  }

  /** Undefined if the caller may be answered. */
  refusal(route: string, socket: Socket): ClientRefusal | undefined {
    const rule = ruleOf(this.rules, route);
    if (rule === undefined || this.passes(rule, socket)) return undefined;
    const old =
      this.before !== undefined && this.now() < this.before.until ? ruleOf(this.before.rules, route) : undefined;
    if (old !== undefined && this.passes(old, socket)) return undefined;
    const certificate = certificateOf(socket);
    if (certificate === undefined) {
      return {
        status: 401,
        code: 'client_certificate_missing',
        message: `this route requires a client certificate from ${rule.key}.caFile; none was sent`,
      };
    }
    const names = rule.names.length > 0 ? `, with one of the names ${rule.names.join(', ')}` : '';
    return {
      status: 403,
      code: 'client_certificate_refused',
      message:
        `this route requires a valid client certificate from ${rule.key}.caFile${names}; ` +
        `this one is for ${certificate.subject}, signed by ${certificate.issuer}`,
    };
  }

  private passes(rule: ClientRule, socket: Socket): boolean {
    const known = this.found.get(socket) ?? new Map<ClientRule, boolean>();
    this.found.set(socket, known);
    const before = known.get(rule);
    if (before !== undefined) return before;
    const passes = isAllowedClient(rule, socket);
    known.set(rule, passes);
    return passes;
  }
}

function ruleOf(rules: ClientRules, route: string): ClientRule | undefined {
  return CLIENT_ROUTES.some((name) => name === route) ? rules[route as ClientRoute] : undefined;
}

function certificateOf(socket: Socket): X509Certificate | undefined {
  return socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
}

/**
 * TLS has verified chain, dates and purpose with the CA certificates of all routes together, so this only finds out
 * which of them it was. Node treats a resumed connection without a certificate as authorized, so the certificate must
 * be present.
 */
function isAllowedClient({ cas, names }: ClientRule, socket: Socket): boolean {
  const leaf = certificateOf(socket);
  if (leaf === undefined || !(socket as TLSSocket).authorized) return false;
  if (names.length > 0 && !names.some((name) => isFor(leaf, name))) return false;
  let certificate: X509Certificate | undefined = leaf;
  for (let depth = 0; certificate !== undefined && depth < MAX_CHAIN; depth += 1) {
    const signed = certificate;
    if (cas.some((authority) => signs(authority, signed))) return true;
    const issuer: X509Certificate | undefined = certificate.issuerCertificate;
    certificate = issuer?.ca === true && signs(issuer, certificate) ? issuer : undefined;
  }
  return false;
}

function signs(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function isFor(certificate: X509Certificate, name: string): boolean {
  if (certificate.checkHost(name, { subject: 'never', wildcards: false }) !== undefined) return true;
  const { subject } = certificate.toLegacyObject() as {
    readonly subject: { readonly CN?: string | readonly string[] };
  };
  return [subject.CN ?? []].flat().includes(name);
}

function same(a: ClientRules, b: ClientRules): boolean {
  const texts = (rules: ClientRules): string =>
    JSON.stringify(Object.values(rules).map(({ key, pem, names }) => [key, pem, names]));
  return texts(a) === texts(b);
}
