import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { QueueConfig } from '../../../../extension-service/src/core/config/model.js';
import { makeCertificates } from '../../../fakes/certificates.js';
import { freePort } from '../../../fakes/free-port.js';
import { Postgres } from '../../../fakes/postgres.js';
import { RedisServer } from '../../../fakes/redis.js';
import { until } from '../../../fakes/until.js';
import { OUTCOME } from '../../../unit/mirror/queue-world.js';
import { Replica, endAll, imageJob } from './replica.js';

const PASSWORD = 'secret-word-of-the-queue';
const WRONG = 'wrong-word-of-the-queue';

/**
 * Returns the error of a replica that cannot use the server. Checks that the replica still copies and does not show the
 * password.
 */
async function refusal(queue: Partial<QueueConfig> & Pick<QueueConfig, 'type'>): Promise<string> {
  const replica = new Replica(queue);
  try {
    await until('a report', () => replica.report !== undefined);
    expect(await endAll([replica], replica.ask(imageJob('app')))).toBe(OUTCOME.digest);
    const text = [...replica.log, JSON.stringify(replica.report)].join('\n');
    expect(text).not.toContain(PASSWORD);
    expect(text).not.toContain(WRONG);
    expect(replica.report?.isUp).toBe(false);
    return replica.log.filter((line) => line.startsWith('error')).join('\n');
  } finally {
    await replica.drain();
  }
}

async function accepts(queue: Partial<QueueConfig> & Pick<QueueConfig, 'type'>): Promise<void> {
  const replica = new Replica(queue);
  try {
    await replica.connected();
    expect(await endAll([replica], replica.ask(imageJob('app')))).toBe(OUTCOME.digest);
  } finally {
    await replica.drain();
  }
}

let folder = '';
const file = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-swapper-queue-'));
  const { ca, cert, key } = await makeCertificates({ hosts: ['127.0.0.1', 'localhost'] });
  const other = await makeCertificates({ hosts: ['127.0.0.1'] });
  const files = { ca, cert, key, 'other-ca': other.ca, password: `${PASSWORD}\n`, wrong: WRONG };
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(file(name), text)));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a server that accepts connections and never answers', () => {
  const connections = new Set<Socket>();
  let silent: Server;
  let accepted = 0;
  let port = 0;

  beforeAll(async () => {
    silent = createServer((socket) => {
      accepted += 1;
      connections.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => connections.delete(socket));
      socket.resume();
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    ({ port } = silent.address() as AddressInfo);
  });
  afterAll(() => {
    for (const socket of connections) socket.destroy();
    silent.close();
  });

  it('is refused with a message, keeps no replica from ending, and keeps no connection', async () => {
    const servers = [
      { type: 'redis', url: `redis://127.0.0.1:${port}` },
      { type: 'postgres', url: `postgres://user@127.0.0.1:${port}/db` },
    ] as const;
    const ending = servers.map((queue) => new Replica(queue));
    await until('they connect', () => accepted >= servers.length);
    const messages = Promise.all(servers.map((queue) => refusal(queue)));
    await Promise.all(ending.map((replica) => replica.drain()));
    for (const message of await messages) expect(message).toMatch(/127\.0\.0\.1:\d+: .*(?:no answer|timeout)/);
    await until('the connections are closed', () => connections.size === 0);
  });
});

describe('Redis', () => {
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
  });
  afterAll(() => server.stop());

  it('is used with the password and CA certificates from files', async () => {
    await accepts({ type: 'redis', url: server.url, passwordFile: file('password') });
    const url = `rediss://127.0.0.1:${tlsPort}/0`;
    await accepts({ type: 'redis', url, passwordFile: file('password'), caFile: file('ca') });
  });

  it.each<readonly [string, () => Partial<QueueConfig>, RegExp]>([
    ['nothing listens', () => ({ url: 'redis://127.0.0.1:1' }), /Redis at 127.0.0.1:1: connect ECONNREFUSED/],
    ['no such host', () => ({ url: 'redis://no-such-host.invalid' }), /no-such-host.invalid:6379: getaddrinfo/],
    [
      'a wrong password in a file',
      () => ({ url: server.url, passwordFile: file('wrong') }),
      /not accepted; check queue.passwordFile/,
    ],
    [
      'a wrong password in the URL',
      () => ({ url: server.url.replace('//', `//:${WRONG}@`) }),
      /not accepted; check queue.passwordFile/,
    ],
    ['no password', () => ({ url: server.url }), /requires a password; set queue.passwordFile/],
    [
      'no such file',
      () => ({ url: server.url, passwordFile: '/no/such' }),
      /queue.passwordFile: cannot read it: ENOENT/,
    ],
    [
      'a CA that is another one',
      () => ({ url: `rediss://127.0.0.1:${tlsPort}`, caFile: file('other-ca') }),
      /certificate is not accepted .*; set queue.caFile/,
    ],
    ['TLS where there is none', () => ({ url: server.url.replace('redis:', 'rediss:') }), /TLS|closed the connection/],
    ['no TLS where it is required', () => ({ url: `redis://127.0.0.1:${tlsPort}` }), /closed the connection.*rediss/],
    ['a database that is none', () => ({ url: `${server.url}/x` }), /must be the number of a database/],
  ])('is refused with a message, and the replica copies alone: %s', async (_, queue, words) => {
    expect(await refusal({ type: 'redis', ...queue() })).toMatch(words);
  });

  it.each<readonly [string, Readonly<Record<string, string>>, RegExp]>([
    [
      'it deletes keys when it is full',
      { maxmemory: '100mb', 'maxmemory-policy': 'allkeys-lru' },
      /maxmemory-policy allkeys-lru\), and would lose copies; set maxmemory-policy noeviction/,
    ],
    [
      'it deletes leases when it is full',
      { maxmemory: '100mb', 'maxmemory-policy': 'volatile-ttl' },
      /maxmemory-policy volatile-ttl/,
    ],
    ['it is a cluster', { 'cluster-enabled': 'yes' }, /is a Redis Cluster, which is not supported/],
    ['it is a replica', { replicaof: '127.0.0.1 1' }, /is a replica, which stores nothing/],
  ])('is refused because %s', async (_, settings, words) => {
    const unsuitable = await RedisServer.start(settings);
    try {
      expect(await refusal({ type: 'redis', url: unsuitable.url })).toMatch(words);
    } finally {
      await unsuitable.stop();
    }
  });

  it('is left when its eviction policy is changed, and used again when that is undone', async () => {
    const changed = await RedisServer.start({ maxmemory: '100mb' });
    const replica = new Replica({ type: 'redis', url: changed.url }, { checkInterval: 500 });
    const setPolicy = (policy: string) => changed.ask((client) => client.config('SET', 'maxmemory-policy', policy));
    try {
      await replica.connected();
      await setPolicy('allkeys-lru');
      await until('the server is left', () => replica.report?.isUp === false);
      expect(replica.log.join('\n')).toContain('deletes keys when its memory is full (maxmemory-policy allkeys-lru)');
      expect(await endAll([replica], replica.ask(imageJob('meanwhile')))).toBe(OUTCOME.digest);
      await setPolicy('noeviction');
      await replica.connected();
      expect(await endAll([replica], replica.ask(imageJob('after')))).toBe(OUTCOME.digest);
    } finally {
      await replica.drain();
      await changed.stop();
    }
  });

  it('is reconnected when a file has changed, but not by other reloads', async () => {
    const rotated = await RedisServer.start({ requirepass: PASSWORD });
    const connections = (): Promise<string> =>
      rotated.ask(async (client) => {
        const lines = String(await client.client('LIST')).split('\n');
        const own = lines.filter((line) => / name=\S+/.test(line)).map((line) => /^id=(\d+)/.exec(line)?.[1]);
        return own.sort().join(' ');
      });
    await writeFile(file('rotated'), PASSWORD);
    const replica = new Replica({ type: 'redis', url: rotated.url, passwordFile: file('rotated') });
    try {
      await replica.connected();
      const before = await connections();
      replica.reload();
      expect(await endAll([replica], replica.ask(imageJob('app')))).toBe(OUTCOME.digest);
      expect(await connections()).toBe(before);
      await writeFile(file('rotated'), `${PASSWORD}\n\n`);
      await rotated.ask((client) => client.config('SET', 'requirepass', `${PASSWORD}\n`));
      replica.reload();
      await until('new connections', async () => {
        const now = await rotated.ask((client) => client.client('LIST').then(String), `${PASSWORD}\n`);
        return !before.split(' ').some((id) => now.includes(`id=${id} `)) && / name=\S+/.test(now);
      });
      expect(await endAll([replica], replica.ask(imageJob('again')))).toBe(OUTCOME.digest);
    } finally {
      await replica.drain();
      await rotated.stop();
    }
  });

  it.each([
    ['the jobs', 'wait'],
    ['the events', 'events'],
  ])('is refused while a foreign key exists in place of %s', async (_, name) => {
    const key = `garbage_${name}:copies:${name}`;
    await server.ask((client) => client.set(key, 'foreign'));
    const prefix = `garbage_${name}`;
    expect(await refusal({ type: 'redis', url: server.url, passwordFile: file('password'), prefix })).toMatch(
      /WRONGTYPE/,
    );
    expect(await server.ask((client) => client.get(key))).toBe('foreign');
  });

  it('copies jobs that a full server does not store, and reports why', async () => {
    const replica = new Replica({ type: 'redis', url: server.url, passwordFile: file('password'), prefix: 'full' });
    await replica.connected();
    try {
      await server.ask((client) => client.config('SET', 'maxmemory', '1'));
      expect(await endAll([replica], replica.ask(imageJob('app')))).toBe(OUTCOME.digest);
      await until('the words', () => /OOM|maxmemory/.test(replica.log.join('\n')));
      await server.ask((client) => client.config('SET', 'maxmemory', '0'));
      await replica.connected();
      expect(await endAll([replica], replica.ask(imageJob('again')))).toBe(OUTCOME.digest);
    } finally {
      await server.ask((client) => client.config('SET', 'maxmemory', '0'));
      await replica.drain();
    }
  });

  it('copies jobs that a server does not store because it cannot save, as with a full disk, and reports why', async () => {
    await mkdir(file('redis-data'));
    const full = await RedisServer.start({ dir: file('redis-data') });
    const replica = new Replica({ type: 'redis', url: full.url });
    try {
      await replica.connected();
      // Redis refuses writes while it cannot save its data.
      await rm(file('redis-data'), { recursive: true });
      await full.ask((client) => client.config('SET', 'save', '3600 1'));
      await full.ask((client) => client.bgsave());
      await until('it cannot save', async () =>
        (await full.ask((client) => client.info('persistence'))).includes('rdb_last_bgsave_status:err'),
      );
      expect(await endAll([replica], replica.ask(imageJob('app')))).toBe(OUTCOME.digest);
      await until('the reason', () => replica.log.join('\n').includes('MISCONF'));
      await full.ask((client) => client.config('SET', 'save', ''));
      await replica.connected();
      expect(await endAll([replica], replica.ask(imageJob('again')))).toBe(OUTCOME.digest);
    } finally {
      await replica.drain();
      await full.stop();
    }
  });

  it('is found through a Sentinel with a password of its own, and refused with a message without it', async () => {
    const sentinel = await RedisServer.sentinel('mirror-queue', server.port, PASSWORD);
    const sentinels = [`127.0.0.1:${sentinel.port}`];
    const queue = { type: 'redis', url: 'redis://mirror-queue', passwordFile: file('password'), sentinels } as const;
    try {
      await accepts({ ...queue, sentinelPasswordFile: file('password'), prefix: 'sentinel' });
      expect(await refusal(queue)).toContain('the Sentinels require a password; set queue.sentinelPasswordFile');
      expect(await refusal({ ...queue, sentinelPasswordFile: file('wrong') })).toContain(
        'the Sentinels do not accept the password; check queue.sentinelPasswordFile',
      );
      expect(
        await refusal({ ...queue, passwordFile: file('wrong'), sentinelPasswordFile: file('password') }),
      ).toContain('not accepted; check queue.passwordFile');
      expect(await refusal({ ...queue, url: 'redis://other-name', sentinelPasswordFile: file('password') })).toContain(
        'the Sentinels know no primary with this name',
      );
    } finally {
      await sentinel.stop();
    }
  });

  it('is found through its Sentinel, also after a failover', async () => {
    const primary = await RedisServer.start();
    const standby = await RedisServer.start({ replicaof: `127.0.0.1 ${primary.port}` });
    const sentinel = await RedisServer.sentinel('mirror-queue', primary.port);
    const queue = { type: 'redis', url: 'redis://mirror-queue', sentinels: [`127.0.0.1:${sentinel.port}`] } as const;
    const replica = new Replica(queue);
    try {
      await replica.connected();
      expect(await endAll([replica], replica.ask(imageJob('before')))).toBe(OUTCOME.digest);
      await until(
        'the standby is known',
        async () =>
          (await sentinel.ask((client) => client.call('SENTINEL', 'REPLICAS', 'mirror-queue') as Promise<unknown[]>))
            .length === 1,
      );
      await primary.kill();
      // Sentinel closes the standby's connections when it makes it the leader.
      await until('the standby leads', async () =>
        (await standby.ask((client) => client.info('replication')).catch(() => '')).includes('role:master'),
      );
      const asked = replica.ask(imageJob('after'));
      expect(await endAll([replica], asked)).toBe(OUTCOME.digest);
      await until(
        'it stores there',
        async () => (await standby.ask((client) => client.keys('image_swapper:copies:*')).catch(() => [])).length > 0,
      );
    } finally {
      await replica.drain();
      await Promise.all([primary, standby, sentinel].map((one) => one.stop()));
    }
  });
});

describe('PostgreSQL', () => {
  let server: Postgres;
  const url = (more = ''): string => `postgres://postgres@socket/postgres?host=${server.folder}${more}`;

  beforeAll(async () => {
    server = await Postgres.start();
    await server.query(`CREATE ROLE other LOGIN PASSWORD '${PASSWORD}'`);
    await server.query(`CREATE ROLE guarded LOGIN PASSWORD '${PASSWORD}'`);
    await server.query('GRANT CREATE ON DATABASE postgres TO guarded');
    // All but this user are trusted.
    const lines = "SELECT 'local all guarded scram-sha-256' UNION ALL SELECT 'local all all trust'";
    await server.query(`COPY (${lines}) TO '${join(server.folder, 'data', 'pg_hba.conf')}'`);
    await server.query('SELECT pg_reload_conf()');
  });
  afterAll(() => server.stop());
  afterEach(() => void vi.restoreAllMocks());

  /** Sets the clock of this process; the monotonic clock and the server's are not affected. */
  function setClock(difference: number): void {
    const { now } = Date;
    vi.spyOn(Date, 'now').mockImplementation(() => now() + difference);
  }

  it('is used with the password from a file', async () => {
    const at = url().replace('postgres@', 'guarded@');
    await accepts({ type: 'postgres', url: at, passwordFile: file('password'), prefix: 'guarded' });
  });

  it.each([
    ['ahead of', -3_600_000],
    ['behind', 3_600_000],
  ])('is refused while its clock is an hour %s the clock here, and the replica copies alone', async (side, here) => {
    setClock(here);
    expect(await refusal({ type: 'postgres', url: url(), prefix: 'clocks' })).toContain(
      `has a clock that is 1h ${side} the clock here; leases allow 3s: correct the clock that is wrong`,
    );
  });

  it('is left when the clock here is set wrong, and used again when it is corrected', async () => {
    const replica = new Replica({ type: 'postgres', url: url(), prefix: 'clocks' });
    try {
      await replica.connected();
      setClock(3_600_000);
      await until('the server is left', () => replica.report?.isUp === false);
      expect(replica.log.join('\n')).toContain('the clock here was set forward by 3600 s');
      // It may have stored this before it noticed. No replica would take the jobs of a killed one for an hour.
      const future = `extract(epoch FROM now()) * 1000 + 3600000`;
      await server.query(
        `INSERT INTO clocks.meta (queue, field, value) VALUES ('copies', 'stalled-check', floor(${future})::text)
          ON CONFLICT (queue, field) DO UPDATE SET value = EXCLUDED.value`,
      );
      expect(await endAll([replica], replica.ask(imageJob('meanwhile')))).toBe(OUTCOME.digest);
      vi.restoreAllMocks();
      await replica.connected();
      expect(await endAll([replica], replica.ask(imageJob('after')))).toBe(OUTCOME.digest);
      const late = `field = 'stalled-check' AND value::numeric > extract(epoch FROM now()) * 1000 + 600000`;
      expect(await server.query(`SELECT count(*) AS late FROM clocks.meta WHERE ${late}`)).toMatch(/^\s+0$/m);
    } finally {
      await replica.drain();
    }
  });

  it.each<readonly [string, () => string, RegExp]>([
    [
      'nothing listens',
      () => 'postgres://postgres@127.0.0.1:1/postgres',
      /PostgreSQL at 127.0.0.1:1: connect ECONNREFUSED/,
    ],
    ['no such database', () => url().replace('/postgres?', '/none?'), /database "none" does not exist; create it/],
    ['a user that may not create tables', () => url().replace('postgres@', `other:${PASSWORD}@`), /permission denied/],
    ['no TLS', () => url('&sslmode=require'), /TLS|SSL/],
    [
      'a wrong password',
      () => url().replace('postgres@', `guarded:${WRONG}@`),
      /not accepted; check queue.passwordFile/,
    ],
    ['no password', () => url().replace('postgres@', 'guarded@'), /not accepted; check queue.passwordFile/],
  ])('is refused with a message, and the replica copies alone: %s', async (_, at, words) => {
    expect(await refusal({ type: 'postgres', url: at() })).toMatch(words);
  });

  it.each([
    {
      what: 'is read-only, as providers make it when the disk is nearly full',
      prefix: 'readonly',
      breaks: ['ALTER SYSTEM SET default_transaction_read_only = on', 'SELECT pg_reload_conf()'],
      repairs: ['ALTER SYSTEM RESET default_transaction_read_only', 'SELECT pg_reload_conf()'],
      words: /read-only/,
    },
    {
      what: 'has no space left for a new job',
      prefix: 'nospace',
      // PostgreSQL reports a full disk with this error, and goes on to answer.
      breaks: [
        `CREATE FUNCTION nospace.full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           RAISE EXCEPTION 'could not extend file "base/5/16384": No space left on device' USING ERRCODE = '53100';
         END $$`,
        'CREATE TRIGGER full_disk BEFORE INSERT ON nospace.job FOR EACH ROW EXECUTE FUNCTION nospace.full_disk()',
      ],
      repairs: ['DROP TRIGGER full_disk ON nospace.job'],
      words: /No space left on device/,
    },
  ])('$what: the copies are made without it until it stores again, and the reason is shown', async (fault) => {
    const { prefix, breaks, repairs, words } = fault;
    const replica = new Replica({ type: 'postgres', url: url(), prefix });
    const query = async (statements: readonly string[]): Promise<void> => {
      for (const statement of statements) await server.query(statement);
    };
    const jobs = (): Promise<string> => server.query(`SELECT count(*) FROM ${prefix}.job WHERE queue = 'copies'`);
    try {
      await replica.connected();
      expect(await endAll([replica], replica.ask(imageJob('before')))).toBe(OUTCOME.digest);
      await query(breaks);
      expect(await endAll([replica], replica.ask(imageJob('first')))).toBe(OUTCOME.digest);
      await until('the report', () => replica.report?.isUp === false);
      const before = await jobs();
      expect(await endAll([replica], replica.ask(imageJob('meanwhile')))).toBe(OUTCOME.digest);
      expect(JSON.stringify(replica.report)).toMatch(words);
      expect(replica.log.filter((line) => line.startsWith('error')).join('\n')).toMatch(words);
      expect(await jobs()).toBe(before);
      await query(repairs);
      await replica.connected();
      expect(await endAll([replica], replica.ask(imageJob('after')))).toBe(OUTCOME.digest);
      expect(await jobs()).not.toBe(before);
      expect(new Set(replica.held.names)).toEqual(new Set(['before', 'first', 'meanwhile', 'after']));
    } finally {
      await query(repairs).catch(() => undefined);
      await replica.drain();
    }
  });

  it('does not lose a job that the server refuses although it answers', async () => {
    const replica = new Replica({ type: 'postgres', url: url(), prefix: 'partly' });
    try {
      await replica.connected();
      await server.query(
        `CREATE FUNCTION partly.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$`,
      );
      await server.query(
        `CREATE TRIGGER refuse BEFORE INSERT ON partly.job
          FOR EACH ROW WHEN (NEW.queue = 'copies') EXECUTE FUNCTION partly.refuse()`,
      );
      const asked = replica.ask(imageJob('app'));
      await until('the copy begins', () => replica.held.names.includes('app'));
      expect(await endAll([replica], asked)).toBe(OUTCOME.digest);
      expect(replica.log.join('\n')).toContain('the queue server does not store copies: refused');
    } finally {
      await replica.drain();
    }
  });

  it('is refused while foreign tables exist in place of the jobs', async () => {
    await server.query('CREATE SCHEMA garbage');
    await server.query('CREATE TABLE garbage.job (x text)');
    const words = await refusal({ type: 'postgres', url: url(), prefix: 'garbage' });
    expect(words).toMatch(/exist|column|relation/);
  });
});
