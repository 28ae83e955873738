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

/** Says whether a connection may be made. `key` is equal for policies that allow the same, so that they share sockets. */
export interface AddressPolicy {
  readonly key: string;
  /**
   * Why a connection to `host:port` is refused, or undefined. `address` is what the name resolved to; without it only
   * the text is judged (before resolving, or because a proxy resolves).
   */
  refusal(host: string, port: number, address?: string): string | undefined;
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

const SPECIAL_HINT =
  'loopback, link-local, metadata, multicast and unspecified addresses need an entry in source.allow';

/**
 * Where Pods may make us connect to. An image reference is text from whoever may create a Pod, so by default it cannot
 * name this machine, its link or a metadata service. What counts is the address connected to: it is checked in the lookup
 * of each new connection, so a name that resolves differently the second time gains nothing. Behind an HTTP proxy the
 * proxy resolves, and only the text can be checked: let the proxy refuse such addresses too.
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

  /** The policy for the registry that a reference names. */
  policyFor(host: string): AddressPolicy {
    return this.isTrusted(host) ? TRUSTED : this.#policy('private');
  }

  /**
   * The policy for where a registry sends us: its token realm, or a redirect. A registry in a private network may send
   * us around in it; one on the internet may not send us inside (server-side request forgery).
   */
  onwardPolicy(from: { readonly trusted: boolean; readonly address: AddressClass }): AddressPolicy {
    if (from.address === 'loopback' || from.address === 'special') return this.#policy(from.address);
    // Registries of a cloud often keep blobs behind private endpoints of the same network.
    return this.#policy(from.trusted || from.address === 'private' ? 'private' : 'public');
  }

  #policy(reach: AddressClass): AddressPolicy {
    return { key: `up to ${reach}`, refusal: (...where) => this.#refusal(reach, ...where) };
  }

  /** `reach` is the class farthest inside that is allowed without an entry. */
  #refusal(reach: AddressClass, host: string, port: number, address?: string): string | undefined {
    const name = host
      .toLowerCase()
      .replace(/^\[|\]$/g, '')
      .replace(/\.$/, '');
    if (this.isTrusted(`${host}:${port}`) || (port === 443 && this.isTrusted(host))) return undefined;
    const literal = isIP(name) === 0 ? undefined : name;
    const where = address ?? literal;
    if (matchesName(this.#deny, name, port)) return `${name} is listed in source.deny`;
    if (where !== undefined && listContains(this.#deny.addresses, where)) return `${where} is listed in source.deny`;
    if (where === undefined || matchesName(this.#allow, name, port)) return undefined;
    if (listContains(this.#allow.addresses, where)) return undefined;
    const found = classifyAddress(where);
    if (INSIDE.indexOf(found) <= INSIDE.indexOf(reach)) return undefined;
    return found === 'private'
      ? `${unwrapAddress(where)} is private, and the registry that sent us there is public (source.allow permits it)`
      : `${unwrapAddress(where)} is not an address that images may come from (${SPECIAL_HINT})`;
  }
}

const INSIDE: readonly AddressClass[] = ['public', 'private', 'loopback', 'special'];

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
    names.push({ host: (match[2] ?? '').replace(/^\[|\]$/g, ''), suffix: match[1] !== undefined, port });
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
