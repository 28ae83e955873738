import { describe, expect, it } from 'vitest';
import { classifyAddress, unwrapAddress } from '../../../extension-service/src/registry/transport/addresses.js';
import { HostGuard } from '../../../extension-service/src/registry/transport/host-guard.js';

describe('classifyAddress', () => {
  it.each([
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['0.0.0.0', 'special'],
    ['169.254.169.254', 'special'],
    ['169.254.170.2', 'special'],
    ['100.100.100.200', 'special'],
    ['168.63.129.16', 'special'],
    ['224.0.0.1', 'special'],
    ['255.255.255.255', 'special'],
    ['::', 'special'],
    ['::1', 'loopback'],
    ['fe80::1%eth0', 'special'],
    ['ff02::1', 'special'],
    ['fd00:ec2::254', 'special'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['::ffff:a9fe:a9fe', 'special'],
    ['::127.0.0.1', 'loopback'],
    ['64:ff9b::169.254.169.254', 'special'],
    ['2002:7f00:1::', 'loopback'],
    ['[::1]', 'loopback'],
    ['10.0.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['192.168.1.1', 'private'],
    ['100.64.0.1', 'private'],
    ['fd12:3456::1', 'private'],
    ['::ffff:10.0.0.1', 'private'],
    ['172.32.0.1', 'public'],
    ['100.128.0.1', 'public'],
    ['8.8.8.8', 'public'],
    ['2606:4700::1', 'public'],
    ['::ffff:8.8.8.8', 'public'],
  ] as const)('%s is %s', (address, expected) => {
    expect(classifyAddress(address)).toBe(expected);
  });

  it('unwraps only what carries an IPv4 address', () => {
    expect(unwrapAddress('2606:4700::7f00:1')).toBe('2606:4700::7f00:1');
    expect(unwrapAddress('::1')).toBe('::1');
  });
});

describe('HostGuard', () => {
  const guard = (allow: readonly string[], deny: readonly string[] = []): HostGuard =>
    new HostGuard({ allow, deny, trusted: ['target.example', 'kind-registry:5000', '127.0.0.1:5001'] });

  it.each([
    // allow, deny, host, port, resolved address, refused
    [[], [], 'docker.io', 443, '1.2.3.4', false],
    [[], [], 'docker.io', 443, '127.0.0.1', true],
    [[], [], 'docker.io', 443, undefined, false],
    [[], [], 'intranet.example', 443, '10.1.2.3', false],
    [[], [], '127.0.0.1', 5000, undefined, true],
    [[], [], '[::1]', 5000, undefined, true],
    [[], [], '169.254.169.254', 80, undefined, true],
    [[], [], '2130706433', 443, '127.0.0.1', true],
    [[], [], '0x7f.1', 443, '127.0.0.1', true],
    [[], [], 'localhost', 443, '127.0.0.1', true],
    [[], [], '127.0.0.1', 5001, undefined, false],
    [[], [], 'kind-registry', 5000, '127.0.0.1', false],
    [[], [], 'target.example', 443, '169.254.1.1', false],
    [[], [], 'target.example', 8443, '169.254.1.1', true],
    [['localhost'], [], 'localhost', 443, '127.0.0.1', false],
    [['localhost:5000'], [], 'localhost', 443, '127.0.0.1', true],
    [['localhost:5000'], [], 'localhost', 5000, '127.0.0.1', false],
    [['*.dev.example'], [], 'a.b.dev.example', 443, '127.0.0.1', false],
    [['*.dev.example'], [], 'dev.example', 443, '127.0.0.1', true],
    [['*.dev.example'], [], 'xdev.example', 443, '127.0.0.1', true],
    [['127.0.0.0/8'], [], 'anything.example', 443, '127.0.0.1', false],
    [['127.0.0.0/8'], [], 'anything.example', 443, '::ffff:127.0.0.1', false],
    [['::1'], [], 'anything.example', 443, '::1', false],
    [[], ['10.0.0.0/8'], 'intranet.example', 443, '10.1.2.3', true],
    [[], ['10.0.0.0/8'], 'intranet.example', 443, '::ffff:10.1.2.3', true],
    [[], ['evil.example'], 'EVIL.example.', 443, undefined, true],
    [[], ['*.evil.example'], 'a.evil.example', 443, undefined, true],
    [['a.example'], ['10.0.0.0/8'], 'a.example', 443, '10.1.2.3', true],
    [['a.example'], ['a.example'], 'a.example', 443, '1.2.3.4', true],
    [[], ['0.0.0.0/0'], '127.0.0.1', 5001, undefined, false],
  ] as const)('allow %j, deny %j: %s:%i at %s is refused: %s', (allow, deny, host, port, address, refused) => {
    const reference = port === 443 ? host : `${host}:${port}`;
    const refusal = guard(allow, deny).policyFor(reference).refusal(host, port, address);
    expect(refusal !== undefined).toBe(refused);
  });

  it.each([
    // where from, redirected to, refused
    [{ trusted: false, address: 'public' }, '1.2.3.4', false],
    [{ trusted: false, address: 'public' }, '10.0.0.1', true],
    [{ trusted: false, address: 'public' }, '169.254.169.254', true],
    [{ trusted: true, address: 'public' }, '10.0.0.1', false],
    [{ trusted: true, address: 'public' }, '169.254.169.254', true],
    [{ trusted: false, address: 'private' }, '10.0.0.1', false],
    [{ trusted: false, address: 'private' }, '127.0.0.1', true],
    [{ trusted: true, address: 'loopback' }, '127.0.0.1', false],
    [{ trusted: true, address: 'loopback' }, '10.0.0.1', false],
    [{ trusted: true, address: 'loopback' }, '169.254.169.254', true],
    [{ trusted: true, address: 'special' }, '169.254.169.254', false],
  ] as const)('from %j a redirect to %s is refused: %s', (from, address, refused) => {
    expect(guard([]).onwardPolicy(from).refusal('next.example', 443, address) !== undefined).toBe(refused);
  });

  it.each(['http://a', 'a b', '*', '10.0.0.0/33', 'a:port', ''])('refuses the entry %j', (entry) => {
    expect(() => guard([entry])).toThrow('is not host, host:port, *.suffix or CIDR');
  });
});
