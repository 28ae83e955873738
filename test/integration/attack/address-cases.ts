import type { AddressClass } from '../../../extension-service/src/registry/transport/addresses.js';

/** One address to which an attacker may want the service to connect. */
export interface AddressCase {
  /** The host in a URL. */
  readonly host: string;
  readonly expected: AddressClass;
  /** The address of a name; absent if the host is an address. */
  readonly resolves?: readonly string[];
  /**
   * Whether a request to a proxy may name this host. Names of this machine and of metadata services are never allowed.
   */
  readonly knownName?: boolean;
}

const literals: Readonly<Record<AddressClass, readonly string[]>> = {
  loopback: [
    '127.0.0.1',
    '127.1',
    '127.0.1',
    '127.255.255.254',
    '2130706433',
    '0x7f000001',
    '0x7f.1',
    '0x7f.0.0.1',
    '0177.0.0.1',
    '017700000001',
    '127.000.000.001',
    '127.0.0.1.',
    '%31%32%37.0.0.1',
    '%EF%BC%91%EF%BC%92%EF%BC%97.0.0.1',
    '127%E3%80%820%E3%80%820%E3%80%821',
    '[::1]',
    '[0:0:0:0:0:0:0:1]',
    '[::127.0.0.1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::ffff:0:7f00:1]',
    '[64:ff9b::7f00:1]',
    '[64:ff9b::127.0.0.1]',
    '[64:ff9b:1::7f00:1]',
    '[2002:7f00:1::]',
    '[2002:7f00:0001::1]',
  ],
  special: [
    '0.0.0.0',
    '0',
    '0.1.2.3',
    '169.254.169.254',
    '169.254.170.2',
    '169.254.170.23',
    '0xa9fea9fe',
    '2852039166',
    '0251.0376.0251.0376',
    '169.254.43518',
    '100.100.100.200',
    '168.63.129.16',
    '192.0.0.192',
    '192.0.0.170',
    '192.88.99.1',
    '224.0.0.1',
    '239.255.255.250',
    '240.0.0.1',
    '255.255.255.255',
    '[::]',
    '[::2]',
    '[::169.254.169.254]',
    '[::ffff:169.254.169.254]',
    '[::ffff:a9fe:a9fe]',
    '[::ffff:0:a9fe:a9fe]',
    '[64:ff9b::a9fe:a9fe]',
    '[64:ff9b:1::a9fe:a9fe]',
    '[64:ff9b:1:a9fe:a9:fe00::]',
    '[2002:a9fe:a9fe::]',
    '[2001::1]',
    '[2001:0:a9fe:a9fe::1]',
    '[2001:0:4136:e378:8000:63bf:3fff:fdd2]',
    '[2001:2::1]',
    '[2001:10::1]',
    '[5f00::1]',
    '[100::1]',
    '[100:0:0:1::1]',
    '[fe80::1]',
    '[fe80::a9fe:a9fe]',
    '[fec0::1]',
    '[ff02::1]',
    '[fd00:ec2::254]',
    '[fd00:ec2::23]',
    '[fd00:ec2::253]',
    '[fd20:ce::254]',
    '[fd00:c1::a9fe:a9fe]',
    '[fd00:42::42]',
    '[4000::1]',
  ],
  private: [
    '10.0.0.5',
    '10.96.0.1',
    '172.16.0.1',
    '172.31.255.254',
    '192.168.1.1',
    '100.64.0.9',
    '0xa000005',
    '[::ffff:10.0.0.5]',
    '[::ffff:0:a00:5]',
    '[64:ff9b::a00:5]',
    '[64:ff9b:1::a00:5]',
    '[2002:a00:5::]',
    '[fd12:3456::1]',
    '[fc00::1]',
    '192.0.2.1',
    '198.18.0.1',
    '198.19.255.254',
    '198.51.100.1',
    '203.0.113.1',
    '[2001:db8::1]',
    '[3fff::1]',
  ],
  public: [
    '8.8.4.4',
    '172.32.0.1',
    '100.128.0.1',
    '192.0.1.1',
    '198.20.0.1',
    '0x08080404',
    '[2606:4700::1]',
    '[64:ff9b::808:404]',
  ],
};

const resolving: Readonly<Record<AddressClass, readonly (readonly string[])[]>> = {
  loopback: [['127.0.0.1'], ['127.8.8.8'], ['::1'], ['::ffff:127.0.0.1'], ['127.0.0.1', '::1']],
  special: [
    ['0.0.0.0'],
    ['169.254.169.254'],
    ['169.254.170.23'],
    ['100.100.100.200'],
    ['168.63.129.16'],
    ['192.0.0.192'],
    ['fd00:ec2::254'],
    ['fd00:ec2::23'],
    ['fd20:ce::254'],
    ['::ffff:a9fe:a9fe'],
    ['::ffff:0:a9fe:a9fe'],
    ['64:ff9b:1::a9fe:a9fe'],
    ['2001:0:a9fe:a9fe::1'],
    ['2002:a9fe:a9fe::1'],
    ['169.254.169.254', '127.0.0.1', '::1'],
  ],
  private: [
    ['198.18.0.1'],
    ['203.0.113.1'],
    ['10.0.0.5'],
    ['10.96.0.1'],
    ['100.64.0.9'],
    ['fd12:3456::1'],
    ['10.0.0.5', '169.254.169.254'],
  ],
  public: [['8.8.4.4'], ['2606:4700::1'], ['127.0.0.1', '8.8.4.4'], ['8.8.4.4', '169.254.169.254', '::1']],
};

const LOCALHOST = ['localhost', 'LOCALHOST', 'localhost.', 'foo.localhost', 'localhost.localdomain', 'ip6-localhost'];
const METADATA = [
  'metadata',
  'metadata.google.internal',
  'metadata.google.internal.',
  'Metadata.Google.Internal',
  'metadata.goog',
  'instance-data',
  'instance-data.ec2.internal',
  'metadata.tencentyun.com',
  'rancher-metadata',
];

const CLASSES: readonly AddressClass[] = ['loopback', 'special', 'private', 'public'];

export const ADDRESS_CASES: readonly AddressCase[] = [
  ...CLASSES.flatMap((expected) => literals[expected].map((host): AddressCase => ({ host, expected }))),
  ...CLASSES.flatMap((expected) =>
    resolving[expected].map((resolves, index): AddressCase => ({
      host: `${expected}-${index}.names.example.net`,
      expected,
      resolves,
    })),
  ),
  ...LOCALHOST.map((host): AddressCase => ({ host, expected: 'loopback', resolves: ['127.0.0.1'], knownName: true })),
  ...METADATA.map((host): AddressCase => ({
    host,
    expected: 'special',
    resolves: ['169.254.169.254'],
    knownName: true,
  })),
];
