import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { get } from '../../fakes/https-client.js';
import { runHere } from '../../fakes/program.js';
import { ScriptedServer } from '../../fakes/scripted-server.js';
import type { Script, ScriptedAnswer } from '../../fakes/scripted-server.js';
import type { RunningService } from '../../fakes/service.js';
import { until } from '../../fakes/until.js';
import { World, admit, mirrors, plainRegistry, settled } from './world.js';
import type { MirrorRow } from './world.js';

/** A registry or token server that repeats the received login in texts that people read. */

const TOKEN = 'tok-5f3a1c9e7b2d4f60';
const TOKEN_FORMS = [TOKEN, Buffer.from(TOKEN).toString('base64')];

/** The login for one source, in the forms that a response may contain. */
class Login {
  readonly basic: string;
  readonly forms: readonly string[];

  constructor(readonly password: string) {
    this.basic = Buffer.from(`tenant-a:${password}`).toString('base64');
    const base64url = Buffer.from(password).toString('base64url');
    this.forms = [password, this.basic, base64url, encodeURIComponent(password), JSON.stringify(`x${password}`)];
  }

  /** Returns a response that repeats the login. */
  echo(more: readonly string[] = []): ScriptedAnswer {
    const message = `got ${[...this.forms, ...more].join(' | ')} end`;
    return { status: 400, body: { errors: [{ code: `MANIFEST_INVALID ${this.password}`, message }] } };
  }
}

const basicChallenge = { status: 401, headers: { 'www-authenticate': 'Basic realm="r"' } };
const asksBearer = (server: ScriptedServer): ScriptedAnswer => ({
  status: 401,
  headers: { 'www-authenticate': `Bearer realm="${server.origin}/token",service="s"` },
});

const scripts: readonly (readonly [string, (login: Login) => Script])[] = [
  [
    'a registry with a password',
    (login) =>
      ({ headers }) =>
        headers.authorization === undefined ? basicChallenge : login.echo(),
  ],
  [
    'a registry with a token',
    (login) =>
      ({ path, headers }, server) => {
        if (path === '/token') return { status: 200, body: { token: TOKEN } };
        return headers.authorization === undefined ? asksBearer(server) : login.echo(TOKEN_FORMS);
      },
  ],
  [
    'a token server',
    (login) =>
      ({ path, headers }, server) =>
        path === '/token' && headers.authorization !== undefined ? login.echo() : asksBearer(server),
  ],
  [
    'a redirect',
    ({ password, basic }) =>
      ({ headers }) =>
        headers.authorization === undefined
          ? basicChallenge
          : { status: 307, headers: { location: `ftp://x/${encodeURIComponent(password)}/${basic}` } },
  ],
  [
    'a second challenge',
    ({ basic }) =>
      ({ headers }) =>
        headers.authorization === undefined
          ? basicChallenge
          : { status: 401, headers: { 'www-authenticate': `Bearer realm="${basic}"` } },
  ],
];
/** Each source has a different password, so that each one must be hidden separately. */
const logins = scripts.map((_, index) => new Login(`C0nf/PW 7${index}+ü`));

describe('a login that is repeated by', () => {
  const world = new World();
  let service: RunningService;
  let sources: readonly ScriptedServer[];
  let rows: readonly MirrorRow[];
  let places: Readonly<Record<string, string>>;
  const imageOf = ({ host }: ScriptedServer): string => `${host}/app:1`;

  beforeAll(async () => {
    const target = await world.registry();
    sources = await Promise.all(
      scripts.map(async ([, script], index) => ScriptedServer.start(script(logins[index] ?? new Login('')))),
    );
    const registries = sources.map(({ host }, index) => {
      const credentials = { username: 'tenant-a', password: logins[index]?.password };
      return { type: 'oci', oci: { registry: host, insecure: true, credentials } };
    });
    service = await world.serve({ source: { registries }, target: plainRegistry(target) });
    await admit(service, Object.fromEntries(sources.map((source, index) => [`app-${index}`, imageOf(source)])));
    await settled(service);
    const isLogged = ({ host }: ScriptedServer): boolean =>
      service.log.some((line) => line.level === 'warn' && JSON.stringify(line).includes(host));
    await until('the failures are logged', () => sources.every(isLogged));
    rows = await mirrors(service);
    const explained = [];
    for (const source of sources) explained.push(await explain(imageOf(source)));
    places = {
      log: JSON.stringify(service.log),
      mirrors: JSON.stringify(rows),
      explain: explained.join('\n'),
      metrics: (await get(`${service.operations}/metrics`)).text,
    };
  });
  afterAll(async () => {
    await world.close();
    await Promise.all(sources.map((source) => source.close()));
  });

  async function explain(image: string): Promise<string> {
    const authority = join(service.folder, 'ca.crt');
    await writeFile(authority, service.ca);
    const args = ['explain', image, '--server', service.url, '--ca-file', authority, '-o', 'json'];
    const { stdout, stderr } = await runHere(args, { env: {}, cwd: service.folder });
    expect(stdout, image).toContain('failed');
    return `${stdout}${stderr}`;
  }

  it.each(scripts.map(([name], index) => [name, index] as const))(
    '%s is in no log, status, explanation or metric',
    (_, index) => {
      const [source, login] = [sources[index], logins[index]];
      if (source === undefined || login === undefined) throw new Error('no source');
      expect(source.log.some(({ headers }) => headers.authorization === `Basic ${login.basic}`)).toBe(true);
      expect(rows.find((row) => row.source === imageOf(source))?.state).toBe('failed');
      const secrets = [...login.forms, JSON.stringify(login.password).slice(1, -1)];
      for (const [place, text] of Object.entries(places)) {
        for (const secret of secrets) expect(text.includes(secret), `${place}: ${secret}`).toBe(false);
      }
    },
  );

  it('a registry with a token is not shown with that token either', () => {
    expect(sources.some(({ log }) => log.some(({ headers }) => headers.authorization === `Bearer ${TOKEN}`))).toBe(
      true,
    );
    for (const [place, text] of Object.entries(places)) {
      for (const secret of TOKEN_FORMS) expect(text.includes(secret), `${place}: ${secret}`).toBe(false);
    }
  });
});
