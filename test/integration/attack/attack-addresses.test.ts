import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { classifyAddress } from '../../../extension-service/src/registry/transport/addresses.js';
import { makeCertificates } from '../../fakes/certificates.js';
import { ADDRESS_CASES, type AddressCase } from './address-cases.js';
import { PROXIES, ROUTES_TO_ADDRESS, type Report, type Visit } from './protocol.js';

/**
 * Every address that an attacker may want to reach, in every way to name one, with and without a proxy. A separate
 * network namespace has all addresses of IPv4 and IPv6. Listeners on them record connections.
 */

const SETUP =
  'ip link set lo up && ip route add local 0.0.0.0/0 dev lo && ip -6 route add local ::/0 dev lo && exec "$@"';
const namespaceFlags = process.getuid?.() === 0 ? ['-n'] : ['-rn'];

function canUnshare(): boolean {
  const { status } = spawnSync('unshare', [...namespaceFlags, 'sh', '-c', SETUP, 'sh', 'true']);
  return status === 0;
}

const canMakeNamespaces = canUnshare();
if (!canMakeNamespaces) {
  const message = 'no network namespace can be made (unshare -n, ip): the attack on addresses does not run';
  // CI has the required rights and programs, so the test must run there.
  if (process.env['CI'] !== undefined) throw new Error(message);
  process.stderr.write(`SKIPPED: ${message}\n`);
}

let report: Report;
let folder: string | undefined;

beforeAll(async () => {
  if (!canMakeNamespaces) return;
  folder = mkdtempSync(join(tmpdir(), 'attack-'));
  const files = { ca: join(folder, 'ca.pem'), cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  const made = await makeCertificates({ hosts: ['evil.example.org', 'rebinding.example.org'] });
  for (const name of ['ca', 'cert', 'key'] as const) writeFileSync(files[name], made[name]);
  const program = new URL('./namespace-program.ts', import.meta.url).pathname;
  const node = [process.execPath, '--import', 'tsx', program, files.cert, files.key];
  const output = execFileSync('unshare', [...namespaceFlags, 'sh', '-c', SETUP, 'sh', ...node], {
    env: { ...process.env, NODE_EXTRA_CA_CERTS: files.ca, NODE_OPTIONS: '' },
    maxBuffer: 256 * 1024 * 1024,
    encoding: 'utf8',
  });
  report = JSON.parse(output) as Report;
}, 600_000);
afterAll(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true });
});

/** Addresses to which a Pod may send the service, and those to which a public registry may. */
const isAllowedVisit = ({ expected }: AddressCase, way: string): boolean =>
  expected === 'public' || (expected === 'private' && way === 'reference');

const visitsOf = (way: string, proxy: string): [AddressCase, Visit][] =>
  report.visits
    .filter((visit) => visit.way === way && visit.proxy === proxy)
    .map((visit, index) => [ADDRESS_CASES[index] as AddressCase, visit]);

describe.skipIf(!canMakeNamespaces)('the attack on addresses', () => {
  it('has at least 120 cases for each route', () => {
    expect(ADDRESS_CASES.length).toBeGreaterThanOrEqual(120);
    expect(report.visits).toHaveLength(ADDRESS_CASES.length * ROUTES_TO_ADDRESS.length * PROXIES.length);
  });

  it.each(ROUTES_TO_ADDRESS)('by %s without a proxy, reaches only allowed addresses', (way) => {
    const seen = visitsOf(way, '');
    for (const [address, visit] of seen) {
      const allowed = isAllowedVisit(address, way);
      expect([visit.host, visit.tripwireHits.length > 0]).toEqual([visit.host, allowed]);
      for (const one of visit.tripwireHits) {
        const found = classifyAddress(one);
        const fits = found === 'public' || (found === 'private' && way === 'reference');
        expect([visit.host, one, fits]).toEqual([visit.host, one, true]);
      }
      if (!allowed && way !== 'location') expect([visit.host, visit.kind]).toEqual([visit.host, 'refused']);
    }
    expect(seen.filter(([, { tripwireHits: touched }]) => touched.length > 0).length).toBeGreaterThanOrEqual(10);
  });

  it.each(
    ROUTES_TO_ADDRESS.flatMap((way) => PROXIES.filter((proxy) => proxy !== '').map((proxy) => [way, proxy] as const)),
  )(
    'by %s with a proxy at %s, requests only allowed addresses from the proxy and connects to none itself',
    (way, proxy) => {
      for (const [address, visit] of visitsOf(way, proxy)) {
        expect([visit.host, visit.tripwireHits]).toEqual([visit.host, []]);
        // The proxy checks the address of a name, except for names that are internal on every machine.
        const isName = address.resolves !== undefined;
        const allowed = isName ? address.knownName !== true : isAllowedVisit(address, way);
        expect([visit.host, visit.connects.length > 0]).toEqual([visit.host, allowed]);
        if (!allowed && way !== 'location') expect([visit.host, visit.kind]).toEqual([visit.host, 'refused']);
      }
    },
  );

  it('writes brackets around an IPv6 address in a CONNECT', () => {
    const ipv6Visits = report.visits.filter(
      ({ host, proxy, way }) => proxy !== '' && way === 'realm' && host.startsWith('['),
    );
    const asked = ipv6Visits.flatMap(({ connects }) => connects);
    expect(asked.length).toBeGreaterThan(0);
    for (const target of asked) expect(target).toMatch(/^\[[0-9a-f:]+\]:443$/);
  });

  it('checks the address that it connects to when a name changes its address', () => {
    expect(report.rebound).toEqual([]);
    expect(report.reboundKinds).toEqual(report.reboundKinds.map(() => 'refused'));
    expect(report.reboundKinds).toHaveLength(8);
  });

  it('offers no TLS session of an earlier connection', () => {
    expect(report.connections).toBeGreaterThan(ROUTES_TO_ADDRESS.length * PROXIES.length);
    expect(report.resumedSessions).toBe(0);
  });
});
