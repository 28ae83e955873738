import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { get } from '../../fakes/https-client.js';
import { ScriptedServer, type Script } from '../../fakes/scripted-server.js';
import { BUNDLE } from '../../fakes/service.js';
import type { RunningService } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';
import { World, admit, mirrors, plainRegistry, settled } from './world.js';

/** A registry or token server that repeats what it was sent as a login, where people look. */

const PASSWORD = 'C0nf/PW 77+ü';
const TOKEN = 'tok-5f3a1c9e7b2d4f60';
const basic = Buffer.from(`tenant-a:${PASSWORD}`).toString('base64');
const OF_PASSWORD = [
  PASSWORD,
  basic,
  Buffer.from(PASSWORD).toString('base64url'),
  encodeURIComponent(PASSWORD),
  JSON.stringify(`x${PASSWORD}`),
];
const OF_TOKEN = [TOKEN, Buffer.from(TOKEN).toString('base64')];
const said = `got ${[...OF_PASSWORD, ...OF_TOKEN].join(' | ')} end`;

let world: World;
const servers: ScriptedServer[] = [];
afterEach(async () => {
  await world.close();
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function explain(service: RunningService, image: string): Promise<string> {
  await writeFile(join(service.folder, 'ca.crt'), service.ca);
  const args = ['explain', image, '--server', service.url, '--ca-file', join(service.folder, 'ca.crt'), '-o', 'json'];
  return new Promise((resolve) => {
    execFile(process.execPath, [BUNDLE, ...args], { cwd: service.folder }, (_, stdout, stderr) =>
      resolve(`${stdout}${stderr}`),
    );
  });
}

const echo = { status: 400, body: { errors: [{ code: `MANIFEST_INVALID ${PASSWORD}`, message: said }] } };
const bearer = (server: ScriptedServer): Record<string, string> => ({
  'www-authenticate': `Bearer realm="${server.origin}/token",service="s"`,
});

const scripts: readonly (readonly [string, Script])[] = [
  [
    'a registry with a password',
    ({ headers }) =>
      headers.authorization === undefined ? { status: 401, headers: { 'www-authenticate': 'Basic realm="r"' } } : echo,
  ],
  [
    'a registry with a token',
    ({ path, headers }, server) => {
      if (path === '/token') return { status: 200, body: { token: TOKEN } };
      return headers.authorization === undefined ? { status: 401, headers: bearer(server) } : echo;
    },
  ],
  [
    'a token server',
    ({ path, headers }, server) =>
      path === '/token' && headers.authorization !== undefined ? echo : { status: 401, headers: bearer(server) },
  ],
  [
    'a redirect',
    ({ headers }) =>
      headers.authorization === undefined
        ? { status: 401, headers: { 'www-authenticate': 'Basic realm="r"' } }
        : { status: 307, headers: { location: `ftp://x/${encodeURIComponent(PASSWORD)}/${basic}` } },
  ],
  [
    'a second challenge',
    ({ headers }) => ({
      status: 401,
      headers: {
        'www-authenticate': headers.authorization === undefined ? 'Basic realm="r"' : `Bearer realm="${basic}"`,
      },
    }),
  ],
];

describe('a login that is repeated by', () => {
  it.each(scripts)('%s is in no log, status, explanation or metric', async (_, script) => {
    world = new World();
    const target = await world.registry();
    const source = await ScriptedServer.start(script);
    servers.push(source);
    const credentials = { username: 'tenant-a', password: PASSWORD };
    const service = await world.serve({
      source: { registries: [{ type: 'oci', oci: { registry: source.host, insecure: true, credentials } }] },
      target: plainRegistry(target),
    });
    const image = `${source.host}/app:1`;
    await admit(service, { app: image });
    await settled(service);
    await until('the failure is logged', () => service.log.some(({ level }) => level === 'warn'));
    const places = {
      log: JSON.stringify(service.log),
      mirrors: JSON.stringify(await mirrors(service)),
      explain: await explain(service, image),
      metrics: (await get(`${service.operations}/metrics`)).text,
    };
    expect(source.log.some(({ headers }) => headers.authorization === `Basic ${basic}`)).toBe(true);
    expect(places.mirrors).toContain('failed');
    expect(places.explain).toContain('failed');
    const hasToken = source.log.some(({ headers }) => headers.authorization === `Bearer ${TOKEN}`);
    for (const [place, text] of Object.entries(places)) {
      for (const secret of [...OF_PASSWORD, ...(hasToken ? OF_TOKEN : []), JSON.stringify(PASSWORD).slice(1, -1)]) {
        expect(text.includes(secret), `${place}: ${secret}`).toBe(false);
      }
    }
  });
});
