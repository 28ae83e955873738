/**
 * The special-purpose address registries of IANA as of 2026-07-18:
 * https://www.iana.org/assignments/iana-ipv4-special-registry/iana-ipv4-special-registry-1.csv
 * https://www.iana.org/assignments/iana-ipv6-special-registry/iana-ipv6-special-registry-1.csv test/fixtures/iana has
 * the files, and a test compares them with this table. `reachable` is the column "Globally Reachable"; blocks that are
 * deprecated, or marked as not applicable, count as not reachable.
 */
export interface SpecialPurposeBlock {
  /** CIDR. */
  readonly block: string;
  readonly name: string;
  readonly reachable: boolean;
}

const row = (block: string, name: string, reachable = false): SpecialPurposeBlock => ({ block, name, reachable });

export const SPECIAL_PURPOSE: readonly SpecialPurposeBlock[] = [
  row('0.0.0.0/8', '"This network"'),
  row('0.0.0.0/32', '"This host on this network"'),
  row('10.0.0.0/8', 'Private-Use'),
  row('100.64.0.0/10', 'Shared Address Space'),
  row('127.0.0.0/8', 'Loopback'),
  row('169.254.0.0/16', 'Link Local'),
  row('172.16.0.0/12', 'Private-Use'),
  row('192.0.0.0/24', 'IETF Protocol Assignments'),
  row('192.0.0.0/29', 'IPv4 Service Continuity Prefix'),
  row('192.0.0.8/32', 'IPv4 dummy address'),
  row('192.0.0.9/32', 'Port Control Protocol Anycast', true),
  row('192.0.0.10/32', 'Traversal Using Relays around NAT Anycast', true),
  row('192.0.0.170/32', 'NAT64/DNS64 Discovery'),
  row('192.0.0.171/32', 'NAT64/DNS64 Discovery'),
  row('192.0.2.0/24', 'Documentation (TEST-NET-1)'),
  row('192.31.196.0/24', 'AS112-v4', true),
  row('192.52.193.0/24', 'AMT', true),
  row('192.88.99.0/24', 'Deprecated (6to4 Relay Anycast)'),
  row('192.88.99.2/32', '6a44-relay anycast address'),
  row('192.168.0.0/16', 'Private-Use'),
  row('192.175.48.0/24', 'Direct Delegation AS112 Service', true),
  row('198.18.0.0/15', 'Benchmarking'),
  row('198.51.100.0/24', 'Documentation (TEST-NET-2)'),
  row('203.0.113.0/24', 'Documentation (TEST-NET-3)'),
  row('240.0.0.0/4', 'Reserved'),
  row('255.255.255.255/32', 'Limited Broadcast'),
  row('::1/128', 'Loopback Address'),
  row('::/128', 'Unspecified Address'),
  row('::ffff:0:0/96', 'IPv4-mapped Address'),
  row('64:ff9b::/96', 'IPv4-IPv6 Translat.', true),
  row('64:ff9b:1::/48', 'IPv4-IPv6 Translat.'),
  row('100::/64', 'Discard-Only Address Block'),
  row('100:0:0:1::/64', 'Dummy IPv6 Prefix'),
  row('2001::/23', 'IETF Protocol Assignments'),
  row('2001::/32', 'TEREDO'),
  row('2001:1::1/128', 'Port Control Protocol Anycast', true),
  row('2001:1::2/128', 'Traversal Using Relays around NAT Anycast', true),
  row('2001:1::3/128', 'DNS-SD Service Registration Protocol Anycast', true),
  row('2001:2::/48', 'Benchmarking'),
  row('2001:3::/32', 'AMT', true),
  row('2001:4:112::/48', 'AS112-v6', true),
  row('2001:10::/28', 'Deprecated (previously ORCHID)'),
  row('2001:20::/28', 'ORCHIDv2', true),
  row('2001:30::/28', 'Drone Remote ID Protocol Entity Tags (DETs) Prefix', true),
  row('2001:db8::/32', 'Documentation'),
  row('2002::/16', '6to4'),
  row('2620:4f:8000::/48', 'Direct Delegation AS112 Service', true),
  row('3fff::/20', 'Documentation'),
  row('5f00::/16', 'Segment Routing (SRv6) SIDs'),
  row('fc00::/7', 'Unique-Local'),
  row('fe80::/10', 'Link-Local Unicast'),
];
