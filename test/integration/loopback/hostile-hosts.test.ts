import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { get, post } from '../../fakes/https-client.js';
import { World, admissionRequest, mirrors, plainRegistry } from './world.js';
import { until } from '../../fakes/until.js';

/**
 * Anyone who may create a Pod can choose the image text. By default, it must not lead the service to itself or to a
 * metadata service.
 */

const world = new World();
afterAll(() => world.close());

describe('images that point to internal hosts', () => {
  let inside: Server;
  let visits: string[];
  let port: number;

  beforeAll(async () => {
    visits = [];
    inside = createServer((socket) => {
      visits.push(`${socket.remoteAddress ?? ''}`);
      socket.destroy();
    });
    await new Promise<void>((resolve) => inside.listen(0, '::', resolve));
    ({ port } = inside.address() as AddressInfo);
  });
  afterAll(() => inside.close());

  it('reach no host in any notation, and each error says why', async () => {
    const target = await world.registry();
    const copying = await world.serve({ target: plainRegistry(target) }, { plain: true });
    const hosts = [
      '127.0.0.1',
      '127.1',
      '127.0.1',
      '0x7f.1',
      '0x7f.0.0.1',
      '0177.0.0.1',
      '2130706433',
      '0x7f000001',
      '017700000001',
      '127.000.000.001',
      '[::1]',
      '[0:0:0:0:0:0:0:1]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
      '[0:0:0:0:0:ffff:7f00:1]',
      '[::127.0.0.1]',
      '[64:ff9b::7f00:1]',
      '[2002:7f00:1::]',
      '0.0.0.0',
      '0',
      '[::]',
      'localhost',
      'LocalHost',
      'localhost.localdomain',
      'ip6-localhost',
      '127.0.0.1.',
      'localhost.',
      '169.254.169.254',
      '0xa9fea9fe',
      '2852039166',
      '[::ffff:a9fe:a9fe]',
      '[fe80::1]',
      '[fd00:ec2::254]',
      '100.100.100.200',
      '1.2.3.4.5',
      '0x.999',
      '256.256.256.256',
    ];
    const images = Object.fromEntries(hosts.map((host, n) => [`c${n}`, `${host}:${port}/app:${n}`]));
    await post(`${copying.url}/v1/kyverno`, JSON.stringify({ request: admissionRequest(images) }));
    const rows = async () => mirrors(copying);
    await until('all were tried', async () => (await rows()).every(({ failure }) => failure !== undefined));
    for (const { source, state, failure } of await rows()) {
      // A name that this machine cannot resolve is unreachable. The others resolve to an internal address.
      const name = /^(?:ip6-)?localhost(?:\.localdomain)?:/.test(source);
      if (name && failure?.reason === 'unreachable') continue;
      expect(`${source} ${failure?.reason ?? ''} ${state}`).toBe(`${source} refused failed`);
    }
    expect((await rows()).length).toBeGreaterThan(25);
    expect(visits).toEqual([]);
    // The listener works, so the missing visits show that the service did not connect.
    await get(`http://127.0.0.1:${port}/`).catch(() => undefined);
    expect(visits).toHaveLength(1);
  });
});
