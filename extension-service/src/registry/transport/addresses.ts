import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';

/**
 * public: reachable from the internet. private: in-house networks (RFC 1918, CGN, ULA). loopback: this machine. special:
 * this link, cloud metadata, multicast, unspecified and reserved addresses. The last two are what a Pod has no business
 * sending us to.
 */
export type AddressClass = 'public' | 'private' | 'loopback' | 'special';

const SPECIAL = [
  '0.0.0.0/8', // unspecified, "this network"
  '169.254.0.0/16', // link-local, with the metadata services of AWS, GCP, Azure…
  '100.100.100.200/32', // metadata of Alibaba Cloud
  '168.63.129.16/32', // Azure's wire server
  '192.0.0.192/32', // metadata of Oracle Cloud (classic)
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, broadcast
  '::/128', // unspecified
  'fe80::/10', // link-local
  'fec0::/10', // site-local, deprecated
  'ff00::/8', // multicast
  'fd00:ec2::254/128', // metadata of AWS over IPv6
  'fd20:ce::254/128', // metadata of GCP over IPv6
];
const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7'];

const special = cidrList(SPECIAL);
const internal = cidrList(PRIVATE);
const loopback = cidrList(['127.0.0.0/8', '::1/128']);

/** `address` without brackets or zone; a text that is no address is an error of the caller. */
export function classifyAddress(address: string): AddressClass {
  const plain = unwrapAddress(address);
  const family = isIPv6(plain) ? 'ipv6' : 'ipv4';
  if (loopback.check(plain, family)) return 'loopback';
  if (special.check(plain, family)) return 'special';
  return internal.check(plain, family) ? 'private' : 'public';
}

/**
 * The IPv4 address inside an IPv6 one, where the network would take us there: mapped (::ffff:0:0/96), compatible (::/96),
 * NAT64 (64:ff9b::/96) and 6to4 (2002::/16); else the address itself.
 */
export function unwrapAddress(address: string): string {
  const bare = address.replace(/^\[|\]$/g, '').replace(/%.*$/, '');
  if (!isIPv6(bare)) return bare;
  const groups = expand(bare);
  const tail = dotted(groups[6] ?? 0, groups[7] ?? 0);
  const zero = (from: number, to: number): boolean => groups.slice(from, to).every((group) => group === 0);
  if (zero(0, 5) && groups[5] === 0xffff) return tail;
  if (zero(0, 6) && (groups[6] !== 0 || (groups[7] ?? 0) > 1)) return tail;
  if (groups[0] === 0x64 && groups[1] === 0xff9b && zero(2, 6)) return tail;
  if (groups[0] === 0x2002) return dotted(groups[1] ?? 0, groups[2] ?? 0);
  return bare;
}

/** A list of addresses and CIDR blocks; throws for what is neither. */
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

export function listContains(list: BlockList, address: string): boolean {
  const plain = unwrapAddress(address);
  return list.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4');
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

function dotted(high: number, low: number): string {
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}
