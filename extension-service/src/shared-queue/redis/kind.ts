import type { RedisOptions } from 'ioredis';
import { messageOf } from '../../util/message-of.js';
import {
  answeredInTime,
  certificateAdvice,
  CONNECT_TIMEOUT_MS,
  LOGIN_ADVICE,
  connectError,
  passwordOf,
  QueueServerError,
  requireAll,
  serverName,
} from '../kind.js';
import type { Finding, OpenedServer, QueueServerKind, ServerSettings } from '../kind.js';
import { withoutBrackets } from '../../util/without-brackets.js';
import { tryJob } from '../trial.js';
import { findingsOf, infoOf } from './server-info.js';

const DEFAULT_PORT = 6379;
/** Milliseconds between two attempts to reconnect. */
const RECONNECT_MS = 1_000;

/** Redis or Valkey, alone or behind Sentinels. */
export const redis: QueueServerKind = {
  type: 'redis',
  nameOf,
  async open(settings) {
    const { findings, server } = await connected(settings);
    requireAll(findings, nameOf(settings));
    return server;
  },
  async check(settings) {
    const { findings, server } = await connected(settings);
    // Jobs cannot be stored there.
    return findings.every(({ ok }) => ok) ? [...findings, await tryJob(server)] : findings;
  },
};

function nameOf(settings: ServerSettings): string {
  return `Redis at ${serverName(settings, DEFAULT_PORT)}`;
}

/** @throws QueueServerError if the server does not answer, or rejects the credentials */
async function connected(settings: ServerSettings): Promise<{ findings: readonly Finding[]; server: OpenedServer }> {
  const options = redisOptions(settings);
  const { Redis, createRedisBackend } = await import('../bullmq.js');
  const never = (): null => null;
  const once: RedisOptions = { lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: never };
  const probe = new Redis(
    Object.assign({}, options, once, { sentinelRetryStrategy: never }) as Omit<RedisOptions, 'replyMapping'>,
  );
  let last: unknown;
  probe.on('error', (error) => (last = error));
  try {
    const info = await answeredInTime(probe.connect().then(() => probe.info()));
    const findings = findingsOf(infoOf(info));
    return { findings, server: { connection: options, prefix: settings.prefix, backend: createRedisBackend } };
  } catch (error) {
    const message = messageOf(last ?? error);
    throw connectError(nameOf(settings), message, hint(message));
  } finally {
    probe.disconnect();
  }
}

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

/** The start of ioredis's message when no Sentinel names the primary; the last Sentinel's error follows. */
const SENTINELS_FAILED = 'All sentinels are unreachable';

function hint(message: string): string {
  if (message.includes(SENTINELS_FAILED)) return sentinelHint(message);
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

function sentinelHint(message: string): string {
  if (/WRONGPASS|invalid password/.test(message)) {
    return 'the Sentinels do not accept the password; check queue.sentinelPasswordFile';
  }
  if (message.includes('NOAUTH')) return 'the Sentinels require a password; set queue.sentinelPasswordFile';
  if (message.includes('No such master')) {
    return 'the Sentinels know no primary with this name; the host of queue.url must be the name in sentinel monitor';
  }
  return /certificate|self.signed|unable to (?:get|verify)/i.test(message) ? certificateAdvice(message) : message;
}
