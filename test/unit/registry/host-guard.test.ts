import { describe, expect, it } from 'vitest';
import { HostGuard } from '../../../extension-service/src/registry/transport/host-guard.js';

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
  ] as const)('with allow %j and deny %j: %s:%i at %s is refused: %s', (allow, deny, host, port, address, refused) => {
    const reference = port === 443 ? host : `${host}:${port}`;
    const refusal = guard(allow, deny).policyFor(reference).refusal(host, port, address);
    expect(refusal !== undefined).toBe(refused);
  });

  const CONFIGURED = 'target.example';
  const OTHER = 'source.example';

  it.each([
    // registry, class of its address, address of the redirect, refused
    [OTHER, 'public', '1.2.3.4', false],
    [OTHER, 'public', '10.0.0.1', true],
    [OTHER, 'public', '127.0.0.1', true],
    [OTHER, 'public', '169.254.169.254', true],
    [CONFIGURED, 'public', '1.2.3.4', false],
    [CONFIGURED, 'public', '10.0.0.1', true],
    [CONFIGURED, 'public', '127.0.0.1', true],
    [CONFIGURED, 'public', '169.254.169.254', true],
    [OTHER, 'private', '1.2.3.4', false],
    [OTHER, 'private', '10.0.0.1', false],
    [OTHER, 'private', '127.0.0.1', true],
    [OTHER, 'private', '169.254.169.254', true],
    [CONFIGURED, 'private', '10.0.0.1', false],
    [CONFIGURED, 'private', '127.0.0.1', true],
    [CONFIGURED, 'loopback', '127.0.0.1', false],
    [CONFIGURED, 'loopback', '10.0.0.1', false],
    [CONFIGURED, 'loopback', '169.254.169.254', true],
    [CONFIGURED, 'special', '1.2.3.4', false],
    [CONFIGURED, 'special', '10.0.0.1', true],
    [CONFIGURED, 'special', '127.0.0.1', true],
    [CONFIGURED, 'special', '169.254.169.254', true],
  ] as const)('%s at a %s address can redirect to %s: refused is %s', (host, from, address, refused) => {
    const policy = guard([]).redirectPolicy({ host, address: from });
    expect(policy.refusal('next.example', 443, address) !== undefined).toBe(refused);
    // The result is the same for a literal address and for the name of another configured registry.
    expect(policy.refusal(address, 443) !== undefined).toBe(refused);
    expect(policy.refusal('kind-registry', 5000, address) !== undefined).toBe(refused);
  });

  it('allows a configured registry to redirect to itself at any address', () => {
    const policy = guard([]).redirectPolicy({ host: CONFIGURED, address: 'public' });
    expect(policy.refusal(CONFIGURED, 443, '127.0.0.1')).toBeUndefined();
    expect(policy.refusal(CONFIGURED, 8443, '127.0.0.1')).toMatch(/is loopback, but the registry .* is public/);
    const other = guard([]).redirectPolicy({ host: OTHER, address: 'public' });
    expect(other.refusal(OTHER, 443, '127.0.0.1')).toMatch(/is loopback/);
  });

  it('gives policies with different rights different keys', () => {
    const of = (host: string, address: 'public' | 'private'): string => guard([]).redirectPolicy({ host, address }).key;
    const keys = [
      of(OTHER, 'public'),
      of(OTHER, 'private'),
      of(CONFIGURED, 'public'),
      of('kind-registry:5000', 'public'),
    ];
    expect(new Set(keys).size).toBe(4);
    expect(of('a.example', 'public')).toBe(of('b.example', 'public'));
  });

  it.each([
    'localhost',
    'LOCALHOST',
    'localhost.',
    'localhost..',
    'foo.localhost',
    'localhost.localdomain',
    'localhost4.localdomain4',
    'localhost6.localdomain6',
    'ip6-localhost',
    'ip6-loopback',
    'metadata',
    'metadata.google.internal',
    'Metadata.Google.Internal.',
    'metadata.goog',
    'instance-data',
    'instance-data.ec2.internal',
    'instance-data.us-west-2.compute.internal',
    'metadata.tencentyun.com',
    'rancher-metadata',
    '127.0.0.1',
    '[::1]',
    '169.254.169.254',
    '[fd00:ec2::254]',
  ])('refuses %s as text when a proxy resolves it', (host) => {
    expect(guard([]).policyFor('x.example').refusal(host, 443, undefined, true)).toMatch(
      /is not an allowed address for images/,
    );
    const onward = guard([]).redirectPolicy({ host: OTHER, address: 'public' });
    expect(onward.refusal(host, 443, undefined, true)).toBeDefined();
  });

  it.each([
    'registry.example',
    'localhost.example',
    'metadata.example',
    'xlocalhost',
    'instance-data.example',
    '1.2.3.4',
  ])('leaves %s to the proxy', (host) => {
    const onward = guard([]).redirectPolicy({ host: OTHER, address: 'public' });
    expect(onward.refusal(host, 443, undefined, true)).toBeUndefined();
  });

  it('applies source.allow and source.deny to names that a proxy resolves', () => {
    expect(guard(['localhost']).policyFor('localhost').refusal('localhost.', 443, undefined, true)).toBeUndefined();
    expect(guard([], ['*.corp']).policyFor('a.corp').refusal('a.corp..', 443, undefined, true)).toMatch(/source\.deny/);
  });

  it.each(['64:ff9b:1::a00:1', '::ffff:0:a00:1', '64:ff9b::a00:1', '2002:a00:1::', '::ffff:10.0.0.1', '::a00:1'])(
    'finds %s in source.deny by the IPv4 address inside',
    (address) => {
      const policy = guard([], ['10.0.0.0/8']).policyFor('x.example');
      expect(policy.refusal('x.example', 443, address)).toMatch(/is listed in source\.deny/);
    },
  );

  it('finds an IPv6 address in source.deny by its own network', () => {
    const policy = guard([], ['64:ff9b:1::/48']).policyFor('x.example');
    expect(policy.refusal('x.example', 443, '64:ff9b:1::808:808')).toMatch(/is listed in source\.deny/);
  });

  it.each(['http://a', 'a b', '*', '10.0.0.0/33', 'a:port', ''])('refuses the entry %j', (entry) => {
    expect(() => guard([entry])).toThrow('is not host, host:port, *.suffix or CIDR');
  });
});
