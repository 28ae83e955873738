import type { BlockList } from 'node:net';
import { isIP } from 'node:net';
import {
  cidrList,
  classifyAddress,
  isAddressOrCidr,
  listContains,
  unwrapAddress,
  type AddressClass,
} from './addresses.js';
import { canonicalName, classifyName } from './known-names.js';
import { withoutBrackets } from '../../util/without-brackets.js';

/**
 * Decides whether a connection is allowed. `key` is equal for policies that allow the same, so that they share sockets.
 */
export interface AddressPolicy {
  readonly key: string;
  /**
   * Why a connection to `host:port` is refused, or undefined. `address` is the resolved address; without it only the
   * text is checked. `viaProxy`: a proxy resolves the name, so names of this machine and of metadata services are
   * checked as texts.
   */
  refusal(host: string, port: number, address?: string, viaProxy?: boolean): string | undefined;
}

/** A registry that sends us elsewhere: by a redirect, a token realm or the Location of an upload. */
export interface Peer {
  /** host[:port] as references name it. */
  readonly host: string;
  /** The peer address of the connection with the answer. */
  readonly address: AddressClass;
}

export interface HostGuardOptions {
  /** `source.allow`: host, host:port, `*.suffix` or CIDR. */
  readonly allow: readonly string[];
  /** `source.deny`, the same forms; it wins over `allow`. */
  readonly deny: readonly string[];
  /** host[:port] of configured targets and sources: never refused. */
  readonly trusted: readonly string[];
}

interface Rules {
  readonly addresses: BlockList;
  readonly names: readonly { readonly host: string; readonly suffix: boolean; readonly port: number | undefined }[];
}

const SPECIAL_HINT = 'loopback, link-local, metadata, multicast and reserved addresses need an entry in source.allow';

/**
 * The hosts that Pods and registries may make us connect to. Anyone who may create a Pod writes image references, so by
 * default they cannot name this machine, its link or a metadata service. The connected address counts: it is checked in
 * the lookup of each new connection, so a name that resolves differently the second time does not help. Behind an HTTP
 * proxy the proxy resolves names, and only the text can be checked: configure the proxy to refuse such addresses too.
 */
export class HostGuard {
  readonly #trusted: ReadonlySet<string>;
  readonly #allow: Rules;
  readonly #deny: Rules;

  /** Throws an Error for an entry in none of the forms. */
  constructor(options: HostGuardOptions) {
    this.#trusted = new Set(options.trusted.map((host) => host.toLowerCase()));
    this.#allow = parseRules(options.allow);
    this.#deny = parseRules(options.deny);
  }

  /** Whether `host[:port]` is a configured registry. */
  isTrusted(host: string): boolean {
    return this.#trusted.has(host.toLowerCase());
  }

  /** The policy for a reference's registry. */
  policyFor(host: string): AddressPolicy {
    return this.isTrusted(host) ? TRUSTED : this.#policy('private');
  }

  /**
   * The policy for URLs that a party sends: an address of its own class or a more public one (loopback, private,
   * public), never link-local or metadata. A configured registry may also refer to itself, wherever it is.
   */
  redirectPolicy({ host, address }: Peer): AddressPolicy {
    // Special addresses have no network of their own: a party reached there may only refer to public ones.
    return this.#policy(address === 'special' ? 'public' : address, this.isTrusted(host) ? host : undefined);
  }

  /** `own` is the configured registry that the policy is for. */
  #policy(reach: AddressClass, own?: string): AddressPolicy {
    const isOwn = (host: string, port: number): boolean =>
      own !== undefined && authorities(host, port).includes(own.toLowerCase());
    return {
      key: own === undefined ? `up to ${reach}` : `up to ${reach} or ${own.toLowerCase()}`,
      refusal: (host, port, ...how) => (isOwn(host, port) ? undefined : this.#refusal(reach, host, port, ...how)),
    };
  }

  /** `reach` is the innermost class that is allowed without an entry. */
  #refusal(reach: AddressClass, host: string, port: number, address?: string, viaProxy = false): string | undefined {
    const name = canonicalName(host);
    const where = address ?? (isIP(name) === 0 ? undefined : name);
    if (matchesName(this.#deny, name, port)) return `${name} is listed in source.deny`;
    if (where !== undefined && listContains(this.#deny.addresses, where)) return `${where} is listed in source.deny`;
    if (matchesName(this.#allow, name, port)) return undefined;
    if (where !== undefined && listContains(this.#allow.addresses, where)) return undefined;
    const found = where === undefined ? (viaProxy ? classifyName(name) : undefined) : classifyAddress(where);
    if (found === undefined || ALL_CLASSES.indexOf(found) <= ALL_CLASSES.indexOf(reach)) return undefined;
    const shown = where === undefined ? name : unwrapAddress(where);
    return found === 'special' || reach === 'private'
      ? `${shown} is not an allowed address for images (${SPECIAL_HINT})`
      : `${shown} is ${found}, but the registry that redirected there is ${reach} (source.allow can permit it)`;
  }
}

/** How a configuration may name a host and port. */
function authorities(host: string, port: number): string[] {
  const name = canonicalName(host);
  const shown = isIP(name) === 6 ? `[${name}]` : name;
  return port === 443 ? [shown, `${shown}:443`] : [`${shown}:${port}`];
}

const ALL_CLASSES: readonly AddressClass[] = ['public', 'private', 'loopback', 'special'];

const TRUSTED: AddressPolicy = { key: 'trusted', refusal: () => undefined };

function parseRules(entries: readonly string[]): Rules {
  const blocks: string[] = [];
  const names: { host: string; suffix: boolean; port: number | undefined }[] = [];
  for (const entry of entries) {
    const text = entry.trim().toLowerCase();
    if (isAddressOrCidr(text)) {
      blocks.push(text);
      continue;
    }
    const match = /^(\*\.)?([a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(\d{1,5}))?$/.exec(text);
    if (match === null) throw new Error(`"${entry}" is not host, host:port, *.suffix or CIDR`);
    const port = match[3] === undefined ? undefined : Number(match[3]);
    names.push({ host: withoutBrackets(match[2] ?? ''), suffix: match[1] !== undefined, port });
  }
  return { addresses: cidrList(blocks), names };
}

function matchesName(rules: Rules, name: string, port: number): boolean {
  return rules.names.some(
    (rule) =>
      (rule.port === undefined || rule.port === port) &&
      (rule.suffix ? name.endsWith(`.${rule.host}`) : name === rule.host),
  );
}
