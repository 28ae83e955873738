import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';
import { BoundedMap } from '../../util/bounded-map.js';
import { SPECIAL_PURPOSE } from './special-purpose.js';
import { withoutBrackets } from '../../util/without-brackets.js';

/**
 * public: reachable from the internet. private: in-house networks (RFC 1918, CGN, ULA), and networks for documentation
 * and benchmarks, which labs use for their machines. loopback: this machine. special: this link, cloud metadata,
 * multicast, unspecified, reserved and all other addresses that are not globally reachable. A Pod has no reason to send
 * us to the last two.
 */
export type AddressClass = 'public' | 'private' | 'loopback' | 'special';

/** Special in addition to IANA's registries. */
const METADATA_AND_MULTICAST = [
  '100.100.100.200/32', // metadata of Alibaba Cloud
  '168.63.129.16/32', // wire server of Azure
  '192.0.0.0/24', // IETF protocols, with anycast addresses of the network itself and Oracle's classic metadata
  '224.0.0.0/4', // multicast
  'fd00:ec2::/32', // AWS: metadata, DNS, time, Pod Identity
  'fd20:ce::254/128', // metadata of GCP over IPv6
  'fd00:c1::a9fe:a9fe/128', // metadata of Oracle Cloud over IPv6
  'fd00:42::42/128', // metadata of Scaleway over IPv6
];
const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7'];
/** Documentation (RFC 5737, 3849, 9637) and benchmarks (RFC 2544). */
const TEST_NETWORKS = [
  '192.0.2.0/24',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '198.18.0.0/15',
  '2001:db8::/32',
  '3fff::/20',
];

const special = cidrList(METADATA_AND_MULTICAST);
const internal = cidrList([...PRIVATE, ...TEST_NETWORKS]);
const loopback = cidrList(['127.0.0.0/8', '::1/128']);
/** RFC 4291, section 2.4: IANA gives out no other unicast addresses. */
const globalUnicast = cidrList(['2000::/3']);
/** Smallest block first: the first match decides. */
const registered = SPECIAL_PURPOSE.map(({ block, reachable }) => ({
  list: cidrList([block]),
  bits: Number(block.split('/')[1]),
  // A BlockList with the IPv4-mapped block contains every IPv4 address.
  family: block.includes(':') ? 'ipv6' : 'ipv4',
  reachable,
})).sort((left, right) => right.bits - left.bits);

/** Cached classes of addresses: each request needs that of its peer. */
const known = new BoundedMap<string, AddressClass>(1_000);

/** `address` with or without brackets; a text that is not an address is special. */
export function classifyAddress(address: string): AddressClass {
  let found = known.get(address);
  if (found === undefined) {
    found = classify(address);
    known.set(address, found);
  }
  return found;
}

function classify(address: string): AddressClass {
  const plain = unwrapAddress(address);
  if (isIP(plain) === 0) return 'special';
  const family = isIPv6(plain) ? 'ipv6' : 'ipv4';
  if (loopback.check(plain, family)) return 'loopback';
  if (special.check(plain, family)) return 'special';
  if (internal.check(plain, family)) return 'private';
  const block = registered.find((row) => row.family === family && row.list.check(plain, family));
  if (block !== undefined) return block.reachable ? 'public' : 'special';
  return family === 'ipv4' || globalUnicast.check(plain, family) ? 'public' : 'special';
}

/**
 * The IPv4 address inside an IPv6 one, if the network would route to it: mapped (::ffff:0:0/96), translated
 * (::ffff:0:0:0/96), compatible (::/96), NAT64 (64:ff9b::/96 and prefixes of 96 bits in 64:ff9b:1::/48) and 6to4
 * (2002::/16); else the address itself.
 */
export function unwrapAddress(address: string): string {
  const bare = bareAddress(address);
  if (!isIPv6(bare)) return bare;
  const groups = expand(bare);
  const tail = dottedQuad(groups[6] ?? 0, groups[7] ?? 0);
  const zero = (from: number, to: number): boolean => groups.slice(from, to).every((group) => group === 0);
  if (zero(0, 5) && groups[5] === 0xffff) return tail;
  if (zero(0, 4) && groups[4] === 0xffff && groups[5] === 0) return tail;
  if (zero(0, 6) && (groups[6] !== 0 || (groups[7] ?? 0) > 1)) return tail;
  if (groups[0] === 0x64 && groups[1] === 0xff9b) {
    if (zero(2, 6) || (groups[2] === 1 && zero(4, 6))) return tail;
  }
  if (groups[0] === 0x2002) return dottedQuad(groups[1] ?? 0, groups[2] ?? 0);
  return bare;
}

function bareAddress(address: string): string {
  return withoutBrackets(address).replace(/%.*$/, '');
}

/** A list of addresses and CIDR blocks; throws for anything else. */
export function cidrList(blocks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const block of blocks) {
    const [network = '', bits] = block.split('/');
    const family = isIPv4(network) ? 'ipv4' : 'ipv6';
    if (bits === undefined) list.addAddress(network, family);
    else list.addSubnet(network, Number(bits), family);
  }
  return list;
}

/** Whether the text is an address or a CIDR block. */
export function isAddressOrCidr(text: string): boolean {
  const match = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text);
  const family = isIP(match?.[1] ?? '');
  return family !== 0 && Number(match?.[2] ?? 0) <= (family === 4 ? 32 : 128);
}

/** Whether the list contains the address, or the IPv4 address inside it. */
export function listContains(list: BlockList, address: string): boolean {
  return [bareAddress(address), unwrapAddress(address)].some(
    (plain) => isIP(plain) !== 0 && list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4'),
  );
}

function expand(address: string): number[] {
  // A dotted tail (::ffff:1.2.3.4) becomes two groups.
  const text = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a: string, b: string, c: string, d: string) => {
    const pair = (high: string, low: string): string => ((Number(high) << 8) | Number(low)).toString(16);
    return `${pair(a, b)}:${pair(c, d)}`;
  });
  const [head = '', tail] = text.split('::');
  const parse = (part: string): number[] => (part === '' ? [] : part.split(':').map((group) => parseInt(group, 16)));
  if (tail === undefined) return parse(head);
  const [left, right] = [parse(head), parse(tail)];
  return [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
}

function dottedQuad(high: number, low: number): string {
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}
