import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import {
  classifyAddress,
  listContains,
  cidrList,
  unwrapAddress,
  type AddressClass,
} from '../../../extension-service/src/registry/transport/addresses.js';
import { SPECIAL_PURPOSE } from '../../../extension-service/src/registry/transport/special-purpose.js';

const fixture = (name: string): string => readFileSync(new URL(`../../fixtures/iana/${name}`, import.meta.url), 'utf8');

describe('classifyAddress', () => {
  it.each([
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['0.0.0.0', 'special'],
    ['169.254.169.254', 'special'],
    ['169.254.170.2', 'special'],
    ['100.100.100.200', 'special'],
    ['168.63.129.16', 'special'],
    ['192.0.0.9', 'special'],
    ['192.0.0.192', 'special'],
    ['192.0.2.1', 'private'],
    ['192.88.99.1', 'special'],
    ['198.18.0.1', 'private'],
    ['198.19.255.255', 'private'],
    ['198.51.100.7', 'private'],
    ['203.0.113.7', 'private'],
    ['224.0.0.1', 'special'],
    ['239.255.255.255', 'special'],
    ['255.255.255.255', 'special'],
    ['::', 'special'],
    ['::1', 'loopback'],
    ['::2', 'special'],
    ['fe80::1%eth0', 'special'],
    ['fec0::1', 'special'],
    ['ff02::1', 'special'],
    ['fd00:ec2::254', 'special'],
    ['fd00:ec2::23', 'special'],
    ['fd00:ec2:1:2::3', 'special'],
    ['fd20:ce::254', 'special'],
    ['fd00:c1::a9fe:a9fe', 'special'],
    ['100::1', 'special'],
    ['100:0:0:1::1', 'special'],
    ['2001::1', 'special'],
    ['2001:0:a9fe:a9fe::1', 'special'],
    ['2001:0:808:808::1', 'special'],
    ['2001:2::1', 'special'],
    ['2001:db8::1', 'private'],
    ['3fff::1', 'private'],
    ['5f00::1', 'special'],
    ['4000::1', 'special'],
    ['1::1', 'special'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['::ffff:a9fe:a9fe', 'special'],
    ['::ffff:0:127.0.0.1', 'loopback'],
    ['::ffff:0:a9fe:a9fe', 'special'],
    ['::ffff:0:a00:1', 'private'],
    ['::ffff:0:808:808', 'public'],
    ['::127.0.0.1', 'loopback'],
    ['64:ff9b::169.254.169.254', 'special'],
    ['64:ff9b:1::a9fe:a9fe', 'special'],
    ['64:ff9b:1::7f00:1', 'loopback'],
    ['64:ff9b:1:fffe::a00:1', 'private'],
    ['64:ff9b:1::808:808', 'public'],
    ['64:ff9b:1:a9fe:a9:fe00::', 'special'],
    ['64:ff9b:1:808:8:800::', 'special'],
    ['64:ff9b:2::808:808', 'special'],
    ['2002:7f00:1::', 'loopback'],
    ['2002:a9fe:a9fe::1', 'special'],
    ['2002:808:808::1', 'public'],
    ['[::1]', 'loopback'],
    ['10.0.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['192.168.1.1', 'private'],
    ['100.64.0.1', 'private'],
    ['fd12:3456::1', 'private'],
    ['::ffff:10.0.0.1', 'private'],
    ['172.32.0.1', 'public'],
    ['100.128.0.1', 'public'],
    ['192.0.1.1', 'public'],
    ['198.20.0.1', 'public'],
    ['8.8.8.8', 'public'],
    ['2606:4700::1', 'public'],
    ['2001:4860:4860::8888', 'public'],
    ['2620:4f:8000::1', 'public'],
    ['::ffff:8.8.8.8', 'public'],
    ['not an address', 'special'],
    ['', 'special'],
  ] as const)('%s is %s', (address, expected) => {
    expect(classifyAddress(address)).toBe(expected);
  });

  it('unwraps only what carries an IPv4 address', () => {
    expect(unwrapAddress('2606:4700::7f00:1')).toBe('2606:4700::7f00:1');
    expect(unwrapAddress('::1')).toBe('::1');
  });
});

describe('listContains', () => {
  it.each([
    ['10.0.0.0/8', '64:ff9b:1::a00:1', true],
    ['10.0.0.0/8', '::ffff:0:a00:1', true],
    ['64:ff9b:1::/48', '64:ff9b:1::808:808', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['10.0.0.0/8', 'x.example', false],
  ])('%s contains %s: %s', (block, address, expected) => {
    expect(listContains(cidrList([block]), address)).toBe(expected);
  });
});

/** Rows of an IANA CSV file. Quoted fields may contain commas and line breaks. */
function rowsOf(csv: string): string[][] {
  const rows: string[][] = [[]];
  for (const [, quoted, plain, end] of csv.matchAll(/(?:"((?:[^"]|"")*)"|([^,\n]*))(,|\n|$)/g)) {
    rows.at(-1)?.push(quoted === undefined ? (plain ?? '') : quoted.replaceAll('""', '"'));
    if (end === '\n') rows.push([]);
  }
  return rows.filter((row) => row.length > 8);
}

describe('the table of special-purpose addresses', () => {
  it('equals the registries of IANA', () => {
    const published = ['ipv4-special-registry.csv', 'ipv6-special-registry.csv'].flatMap((name) => {
      const [header = [], ...rows] = rowsOf(fixture(name));
      const column = header.indexOf('Globally Reachable');
      return rows.flatMap((row) =>
        (row[0] ?? '').split(/,\s*/).map((block) => ({
          block: block.replace(/ \[\d+\]$/, ''),
          name: row[1],
          reachable: row[column] === 'True',
        })),
      );
    });
    expect(published.length).toBeGreaterThan(50);
    expect(SPECIAL_PURPOSE).toEqual(published);
  });
});

/** Whether the address is in one of the blocks and does not embed an IPv4 address. */
const within = (address: string, blocks: readonly string[]): boolean =>
  listContains(cidrList(blocks), address) && unwrapAddress(address) === address;

/** Blocks that our code treats more strictly than ipaddr.js: cloud services, anycast, and unassigned IPv6. */
const STRICTER_BLOCKS = [
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.0/24',
  'fd00:ec2::/32',
  'fd20:ce::254',
  '192.88.99.0/24',
];

describe('against ipaddr.js', () => {
  /** Blocks for documentation and benchmarks. Labs use these addresses for their machines. */
  const LABS = ['192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24', '198.18.0.0/15'];
  const CLASSES: Readonly<Record<string, AddressClass>> = {
    unicast: 'public',
    as112: 'public',
    amt: 'public',
    as112v6: 'public',
    private: 'private',
    carrierGradeNat: 'private',
    uniqueLocal: 'private',
    loopback: 'loopback',
  };
  const judged = (address: string): AddressClass => CLASSES[ipaddr.parse(address).range()] ?? 'special';

  it('classifies every IPv4 address in the same way, or more strictly for a named reason', () => {
    const edges = SPECIAL_PURPOSE.filter(({ block }) => !block.includes(':')).map(
      ({ block }) => block.split('/')[0] ?? '',
    );
    const address = fc.oneof(
      fc.ipV4(),
      fc.constantFrom(...edges),
      fc.tuple(fc.constantFrom(...edges), fc.nat(255)).map(([edge, last]) => edge.replace(/\d+$/, String(last))),
    );
    fc.assert(
      fc.property(address, (text) => {
        if (within(text, STRICTER_BLOCKS)) expect(classifyAddress(text)).toBe('special');
        else if (within(text, LABS)) expect(classifyAddress(text)).toBe('private');
        else expect(`${text} ${classifyAddress(text)}`).toBe(`${text} ${judged(text)}`);
      }),
      { numRuns: 5_000 },
    );
  });

  it('classifies an IPv6 address with an embedded IPv4 address by that address', () => {
    const forms: ((hex: string) => string)[] = [
      (hex) => `::ffff:${hex}`,
      (hex) => `::ffff:0:${hex}`,
      (hex) => `64:ff9b::${hex}`,
      (hex) => `64:ff9b:1::${hex}`,
      (hex) => `2002:${hex}::1`,
    ];
    fc.assert(
      fc.property(fc.ipV4(), fc.constantFrom(...forms), (text, form) => {
        const [a = 0, b = 0, c = 0, d = 0] = text.split('.').map(Number);
        const hex = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
        expect(classifyAddress(form(hex))).toBe(classifyAddress(text));
      }),
      { numRuns: 2_000 },
    );
  });

  it('classifies no IPv6 address as public that is not unicast, except those that IANA lists as reachable', () => {
    const reachable = SPECIAL_PURPOSE.filter((row) => row.reachable).map(({ block }) => block);
    const edges = SPECIAL_PURPOSE.filter(({ block }) => block.includes(':')).map(
      ({ block }) => block.split('/')[0] ?? '',
    );
    const address = fc.oneof(
      fc.ipV6(),
      fc.constantFrom(...edges),
      fc.constantFrom(...edges).map((edge) => `${edge}1`),
    );
    fc.assert(
      fc.property(address, (text) => {
        fc.pre(ipaddr.isValid(text) && unwrapAddress(text) === text);
        if (classifyAddress(text) !== 'public') return;
        expect(judged(text) === 'public' || within(text, reachable)).toBe(true);
      }),
      { numRuns: 5_000 },
    );
  });
});

describe("against Python's ipaddress", () => {
  const { verdicts } = JSON.parse(fixture('python-ipaddress.json')) as { verdicts: Record<string, string[]> };
  const reachable = SPECIAL_PURPOSE.filter((row) => row.reachable).map(({ block }) => block);

  it.each([
    ['IPv4', false],
    ['IPv6', true],
  ])('classifies no %s address as public that is not global, except those that IANA lists as reachable', (_, six) => {
    const judged = Object.entries(verdicts).filter(([address]) => address.includes(':') === six);
    expect(judged.length).toBeGreaterThan(200);
    for (const [address, said] of judged) {
      if (unwrapAddress(address) !== address || classifyAddress(address) !== 'public') continue;
      expect([address, said.includes('global') || within(address, reachable)]).toEqual([address, true]);
    }
  });

  it('classifies every global IPv4 address as public, except those of clouds and networks, and multicast', () => {
    for (const [address, said] of Object.entries(verdicts)) {
      if (address.includes(':') || !said.includes('global') || said.includes('multicast')) continue;
      if (!within(address, STRICTER_BLOCKS)) expect([address, classifyAddress(address)]).toEqual([address, 'public']);
    }
  });

  it('agrees about loopback, link-local and multicast', () => {
    for (const [address, said] of Object.entries(verdicts)) {
      if (unwrapAddress(address) !== address) continue;
      expect([address, classifyAddress(address) === 'loopback']).toEqual([address, said.includes('loopback')]);
      if (said.includes('link_local') || said.includes('multicast')) expect(classifyAddress(address)).toBe('special');
    }
  });
});
