import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCertificates } from '../../../fakes/certificates.js';
import { freePort } from '../../../fakes/free-port.js';
import { Postgres } from '../../../fakes/postgres.js';
import { RedisServer } from '../../../fakes/redis.js';
import { useCli } from '../../loopback/cli.js';
import type { ProgramResult } from '../../../fakes/program.js';

const PASSWORD = 'secret-word-of-the-queue';
const WRONG = 'wrong-word-of-the-queue';

const cli = useCli();
const file = (name: string): string => join(cli.folder, name);

beforeAll(async () => {
  const other = await makeCertificates({ hosts: ['127.0.0.1'] });
  const { ca, cert, key } = cli.certificates;
  const files = { ca, cert, key, 'other-ca': other.ca, password: `${PASSWORD}\n`, wrong: WRONG };
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(file(name), text)));
});

/** Runs `check --online`. @returns the exit code, and the lines about the queue */
async function online(
  queue: object,
  run: (args: readonly string[]) => Promise<ProgramResult> = (args) => cli.swapper(args),
): Promise<{ code: number | null; lines: readonly string[] }> {
  const { code, stdout, stderr } = await run(['check', '--online', '--config', await cli.config({ queue })]);
  expect(stdout + stderr).not.toContain(PASSWORD);
  expect(stdout + stderr).not.toContain(WRONG);
  return { code, lines: stdout.split('\n').filter((line) => line.includes('queue ')) };
}

describe('check --online with a queue in Redis', () => {
  let server: RedisServer;
  let tlsPort = 0;

  beforeAll(async () => {
    tlsPort = await freePort();
    server = await RedisServer.start({
      requirepass: PASSWORD,
      'tls-port': String(tlsPort),
      'tls-cert-file': file('cert'),
      'tls-key-file': file('key'),
      'tls-ca-cert-file': file('ca'),
      'tls-auth-clients': 'no',
    });
    const user = async (name: string, ...rules: readonly string[]): Promise<void> => {
      await server.ask((client) => client.call('ACL', 'SETUSER', name, 'on', `>${PASSWORD}`, ...rules));
    };
    await user('mirror', '~image_swapper:*', '+@all', '-@dangerous', '+info', '+client|list');
    await user('scriptless', '~image_swapper:*', '+@all', '-@scripting');
    await user('elsewhere', '~other:*', '+@all');
    await user('blind', '~image_swapper:*', '+@all', '-client|list');
    await user('nameless', '~image_swapper:*', '+@all', '-client|setname');
  });
  afterAll(() => server.stop());

  const as = (user: string): string => server.url.replace('//', `//${user}@`);

  it('shows the version, the memory and the rights of a usable server, and leaves nothing there', async () => {
    const queue = { type: 'redis', url: as('mirror'), passwordFile: file('password') };
    const { code, lines } = await online(queue, (args) => cli.spawned(args));
    expect(code).toBe(0);
    const name = `queue Redis at 127.0.0.1:${server.port}`;
    expect(lines.map((line) => line.trim().split(/ {2,}/))).toEqual([
      ['ok', name, 'connect', 'responds and accepts the credentials'],
      ['ok', name, 'version', expect.stringMatching(/^Redis \d+\.\d+\.\d+$/)],
      ['ok', name, 'role', 'stores data'],
      ['ok', name, 'memory', 'maxmemory-policy noeviction'],
      ['ok', name, 'rights', 'stores and returns jobs'],
    ]);
    const url = `rediss://mirror@127.0.0.1:${tlsPort}`;
    expect(await online({ type: 'redis', url, passwordFile: file('password'), caFile: file('ca') })).toMatchObject({
      code: 0,
    });
    expect(await server.ask((client) => client.keys('*'))).toEqual([]);
  });

  it.each<readonly [string, () => object, RegExp]>([
    ['nothing listens', () => ({ url: 'redis://127.0.0.1:1' }), /^UNREACHABLE .*connect .*ECONNREFUSED/],
    [
      'a wrong password',
      () => ({ url: server.url, passwordFile: file('wrong') }),
      /^REFUSED .*connect .*not accepted; check queue.passwordFile/,
    ],
    ['no password', () => ({ url: server.url }), /^REFUSED .*requires a password; set queue.passwordFile/],
    [
      'an unreadable file',
      () => ({ url: server.url, passwordFile: file('none') }),
      /^FAILED .*queue redis .*queue.passwordFile: cannot read it: ENOENT/,
    ],
    ['a Secret, without a cluster', () => ({ secretName: 'queue' }), /^FAILED .*queue.secretName: there is no cluster/],
    [
      'a CA that is another one',
      () => ({ url: `rediss://127.0.0.1:${tlsPort}`, caFile: file('other-ca') }),
      /^REFUSED .*certificate is not accepted .*; set queue.caFile/,
    ],
    [
      'a user without scripts',
      () => ({ url: as('scriptless'), passwordFile: file('password') }),
      /^REFUSED .*rights .*cannot store and take jobs: .*NOPERM/,
    ],
    [
      'a user of other keys',
      () => ({ url: as('elsewhere'), passwordFile: file('password') }),
      /^REFUSED .*rights .*cannot store and take jobs: .*NOPERM/,
    ],
    [
      'a user that cannot count the replicas',
      () => ({ url: as('blind'), passwordFile: file('password') }),
      /^REFUSED .*rights .*CLIENT LIST.*do not divide the budgets/,
    ],
    [
      'a user that cannot name its connections',
      () => ({ url: as('nameless'), passwordFile: file('password') }),
      /^REFUSED .*rights .*cannot store and take jobs: .*client\|setname/,
    ],
  ])('exits 1 and explains the problem: %s', async (_, queue, words) => {
    const { code, lines } = await online({ type: 'redis', ...queue() });
    expect(lines.at(-1)).toMatch(words);
    expect(code).toBe(1);
  });

  it.each<readonly [string, Readonly<Record<string, string>>, RegExp]>([
    [
      'deletes keys when it is full',
      { maxmemory: '100mb', 'maxmemory-policy': 'volatile-lru' },
      /memory .*\(maxmemory-policy volatile-lru\), and would lose copies; set maxmemory-policy noeviction/,
    ],
    ['is a replica', { replicaof: '127.0.0.1 1' }, /role .*is a replica, which stores nothing/],
  ])('exits 1 for a server that %s, and stores nothing there', async (_, settings, words) => {
    const unfit = await RedisServer.start(settings);
    try {
      const { code, lines } = await online({ type: 'redis', url: unfit.url });
      expect(code).toBe(1);
      expect(lines.filter((line) => !line.startsWith('ok')).join('\n')).toMatch(words);
      expect(lines.join('\n')).not.toContain('rights');
    } finally {
      await unfit.stop();
    }
  });
});

describe('check --online with a queue in PostgreSQL', () => {
  let server: Postgres;
  const url = (user = 'postgres', database = 'postgres'): string =>
    `postgres://${user}@socket/${database}?host=${server.folder}`;

  beforeAll(async () => {
    server = await Postgres.start();
    await server.query(`CREATE ROLE mirror LOGIN PASSWORD '${PASSWORD}'`);
    await server.query(`CREATE ROLE reader LOGIN`);
    await server.query('GRANT CREATE ON DATABASE postgres TO mirror');
    // All but this user are trusted.
    const lines = "SELECT 'local all mirror scram-sha-256' UNION ALL SELECT 'local all all trust'";
    await server.query(`COPY (${lines}) TO '${join(server.folder, 'data', 'pg_hba.conf')}'`);
    await server.query('SELECT pg_reload_conf()');
  });
  afterAll(() => server.stop());

  it('shows the version and the rights of a usable server, and leaves nothing there', async () => {
    const queue = { type: 'postgres', url: url('mirror'), passwordFile: file('password') };
    const { code, lines } = await online(queue, (args) => cli.spawned(args));
    const name = 'queue PostgreSQL at socket:5432';
    expect(lines.map((line) => line.trim().split(/ {2,}/))).toEqual([
      ['ok', name, 'connect', 'responds and accepts the credentials'],
      ['ok', name, 'version', expect.stringMatching(/^PostgreSQL \d+\.\d+/)],
      ['ok', name, 'role', 'stores data'],
      ['ok', name, 'clock', 'differs by at most 3s from the clock here'],
      ['ok', name, 'rights', 'may create and use its tables'],
    ]);
    expect(code).toBe(0);
    expect(await server.query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'image%'")).toContain('(0 rows)');
  });

  it.each<readonly [string, () => object, RegExp]>([
    [
      'nothing listens',
      () => ({ url: 'postgres://postgres@127.0.0.1:1/postgres' }),
      /^UNREACHABLE .*connect .*ECONNREFUSED/,
    ],
    [
      'a wrong password',
      () => ({ url: url('mirror'), passwordFile: file('wrong') }),
      /^REFUSED .*connect .*not accepted; check queue.passwordFile/,
    ],
    ['no password', () => ({ url: url('mirror') }), /^REFUSED .*connect .*not accepted; check queue.passwordFile/],
    [
      'no such database',
      () => ({ url: url('postgres', 'none') }),
      /^FAILED .*database "none" does not exist; create it/,
    ],
    [
      'a user that may not create the schema',
      () => ({ url: url('reader') }),
      /^REFUSED .*rights .*permission denied for database postgres; grant CREATE on the database/,
    ],
  ])('exits 1 and explains the problem: %s', async (_, queue, words) => {
    const { code, lines } = await online({ type: 'postgres', ...queue() });
    expect(lines.at(-1)).toMatch(words);
    expect(code).toBe(1);
  });

  it('exits 1 when another user owns the tables', async () => {
    await server.query('CREATE SCHEMA theirs');
    await server.query('CREATE TABLE theirs.job (n int)');
    await server.query('GRANT ALL ON SCHEMA theirs TO mirror');
    const { code, lines } = await online({
      ...{ type: 'postgres', url: url('mirror'), passwordFile: file('password') },
      prefix: 'theirs',
    });
    expect(lines.at(-1)).toMatch(/^REFUSED .*tables in schema theirs belong to postgres: connect as that user/);
    expect(code).toBe(1);
  });

  it('exits 1 while the database is read-only', async () => {
    await server.query('ALTER ROLE mirror SET default_transaction_read_only = on');
    const queue = { type: 'postgres', url: url('mirror'), passwordFile: file('password') };
    const { code, lines } = await online(queue);
    expect(lines.join('\n')).toMatch(/role .*is read-only/);
    expect(code).toBe(1);
    await server.query('ALTER ROLE mirror RESET default_transaction_read_only');
    expect((await online(queue)).code).toBe(0);
  });
});
