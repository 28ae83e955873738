import type { RedisOptions } from 'ioredis';
import { messageOf } from '../../util/message-of.js';
import {
  certificateAdvice,
  CONNECT_TIMEOUT_MS,
  LOGIN_ADVICE,
  passwordOf,
  QueueServerError,
  serverName,
} from '../kind.js';
import type { QueueServerKind, ServerSettings } from '../kind.js';
import { withoutBrackets } from '../../util/without-brackets.js';

const DEFAULT_PORT = 6379;
/** Milliseconds between two attempts to reconnect. */
const RECONNECT_MS = 1_000;

/** Redis or Valkey, alone or behind Sentinels. */
export const redis: QueueServerKind = {
  type: 'redis',
  async open(settings) {
    const options = redisOptions(settings);
    const name = serverName(settings, DEFAULT_PORT);
    const { Redis, createRedisBackend } = await import('../bullmq.js');
    const never = (): null => null;
    const once: RedisOptions = { lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: never };
    const probe = new Redis(
      Object.assign({}, options, once, { sentinelRetryStrategy: never }) as Omit<RedisOptions, 'replyMapping'>,
    );
    let last: unknown;
    probe.on('error', (error) => (last = error));
    try {
      await probe.connect();
      const fault = faultOf(infoOf(await probe.info()));
      if (fault !== undefined) throw new QueueServerError(`Redis at ${name} ${fault}`);
    } catch (error) {
      if (error instanceof QueueServerError) throw error;
      throw new QueueServerError(`Redis at ${name}: ${hint(messageOf(last ?? error))}`);
    } finally {
      probe.disconnect();
    }
    return { connection: options, prefix: settings.prefix, backend: createRedisBackend };
  },
};

function redisOptions(settings: ServerSettings): RedisOptions {
  const { url, ca, sentinels, sentinelPassword } = settings;
  const password = passwordOf(settings);
  const database = Number(url.pathname.slice(1) || '0');
  if (!Number.isInteger(database)) {
    throw new QueueServerError(`queue.url: the path must be the number of a database, as in redis://HOST/0`);
  }
  const usesTls = url.protocol === 'rediss:';
  const host = withoutBrackets(url.hostname);
  const tls = ca === undefined ? {} : { ca };
  return {
    ...(sentinels.length === 0
      ? { host, port: url.port === '' ? DEFAULT_PORT : Number(url.port) }
      : { name: host, sentinels: sentinels.map(sentinelAddress) }),
    ...(url.username !== '' && { username: decodeURIComponent(url.username) }),
    ...(password !== undefined && { password }),
    ...(sentinelPassword !== undefined && { sentinelPassword }),
    ...(usesTls && { tls, ...(sentinels.length > 0 && { sentinelTLS: tls, enableTLSForSentinelMode: true }) }),
    db: database,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy: () => RECONNECT_MS,
    // BullMQ requires this.
    maxRetriesPerRequest: null,
  };
}

function sentinelAddress(text: string): { host: string; port: number } {
  const colon = text.lastIndexOf(':');
  return { host: withoutBrackets(text.slice(0, colon)), port: Number(text.slice(colon + 1)) };
}

/** Parses the `key:value` lines of Redis's INFO. */
function infoOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split(/\r?\n/).flatMap((line): [string, string][] => {
      const colon = line.indexOf(':');
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1)]];
    }),
  );
}

/** Why the server would lose jobs or refuse to store them; the text continues the server's name. */
function faultOf(info: ReadonlyMap<string, string>): string | undefined {
  const policy = info.get('maxmemory_policy') ?? 'noeviction';
  // Locks have a time to live, so a policy that only deletes such keys also loses jobs.
  if (policy !== 'noeviction' && info.get('maxmemory') !== '0') {
    return `deletes keys when its memory is full (maxmemory-policy ${policy}), and would lose copies; set maxmemory-policy noeviction`;
  }
  if (info.get('cluster_enabled') === '1') {
    return 'is a Redis Cluster, which is not supported; use one primary, with or without Sentinels';
  }
  if (info.get('role') === 'slave')
    return 'is a replica, which stores nothing; name the primary, or use queue.sentinels';
  if (info.get('loading') === '1') return 'is loading its data';
  return undefined;
}

function hint(message: string): string {
  if (/WRONGPASS|invalid password/.test(message)) {
    return LOGIN_ADVICE;
  }
  if (message.includes('NOAUTH')) return 'it requires a password; set queue.passwordFile';
  if (/NOPERM/.test(message)) return `the user lacks a permission: ${message}`;
  if (/self.signed|unable to (?:get|verify)|certificate/i.test(message)) {
    return certificateAdvice(message);
  }
  if (message.includes('ETIMEDOUT')) return `no answer (${message}); with rediss:// the server must use TLS`;
  if (/wrong version number|packet length too long/i.test(message)) return 'it does not use TLS; use redis://';
  if (/Connection is closed|ECONNRESET/.test(message)) {
    return `it closed the connection (${message}); does the port belong to Redis, and does it expect TLS (rediss://)?`;
  }
  return message;
}
