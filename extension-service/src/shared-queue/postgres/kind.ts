import type { BackendFactory } from 'bullmq';
import type { Client } from 'pg';
import { messageOf } from '../../util/message-of.js';
import {
  answeredInTime,
  certificateAdvice,
  CONNECT_TIMEOUT_MS,
  LOGIN_ADVICE,
  connectError,
  passwordOf,
  requireAll,
  serverName,
} from '../kind.js';
import type { QueueServerKind, ServerSettings } from '../kind.js';
import { withoutBrackets } from '../../util/without-brackets.js';
import { findingsOf, removeFutureTimes, rightsOf } from './server-checks.js';

const DEFAULT_PORT = 5432;
/** Maximum connections of one replica, in addition to those that wait for jobs. */
const MAX_CONNECTIONS = 4;
/** Time limit in milliseconds for one statement. */
const STATEMENT_TIMEOUT_MS = 30_000;

/** PostgreSQL. BullMQ creates its tables in a separate schema. */
export const postgres: QueueServerKind = {
  type: 'postgres',
  nameOf,
  async open(settings) {
    const { createPostgresBackend } = await import('../bullmq.js');
    const findings = await connected(settings, async (client) => {
      const found = await findingsOf(client);
      if (found.every(({ ok }) => ok)) await removeFutureTimes(client, settings.prefix);
      return found;
    });
    requireAll(findings, nameOf(settings));
    return {
      connection: { ...postgresOptions(settings), schema: settings.prefix, migrate: true },
      // The function accepts only PostgreSQL's options, and gets no others here.
      backend: createPostgresBackend as unknown as BackendFactory,
      usesReplicaClocks: true,
    };
  },
  check: (settings) =>
    connected(settings, async (client) => {
      const findings = await findingsOf(client);
      return findings.every(({ ok }) => ok) ? [...findings, await rightsOf(client, settings.prefix)] : findings;
    }),
};

function nameOf(settings: ServerSettings): string {
  return `PostgreSQL at ${serverName(settings, DEFAULT_PORT)}`;
}

/** @throws QueueServerError if the server does not answer, or rejects the credentials */
async function connected<T>(settings: ServerSettings, ask: (client: Client) => Promise<T>): Promise<T> {
  const { PostgresClient } = await import('../bullmq.js');
  const probe = new PostgresClient(postgresOptions(settings));
  probe.on('error', () => undefined);
  try {
    return await answeredInTime(probe.connect().then(() => ask(probe)));
  } catch (error) {
    const message = messageOf(error);
    throw connectError(nameOf(settings), message, hint(message));
  } finally {
    probe.end().catch(() => undefined);
  }
}

function postgresOptions(settings: ServerSettings) {
  const { url, ca } = settings;
  const password = passwordOf(settings);
  const mode = url.searchParams.get('sslmode');
  const database = decodeURIComponent(url.pathname.slice(1));
  const socket = url.searchParams.get('host');
  return {
    host: socket ?? withoutBrackets(url.hostname),
    port: url.port === '' ? DEFAULT_PORT : Number(url.port),
    ...(database !== '' && { database }),
    ...(url.username !== '' && { user: decodeURIComponent(url.username) }),
    ...(password !== undefined && { password }),
    ...sslOf(mode, ca),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    max: MAX_CONNECTIONS,
  };
}

/**
 * Node's TLS options for libpq's `sslmode`. As in libpq, `require` with CA certificates verifies the server's
 * certificate.
 */
function sslOf(mode: string | null, ca: string | undefined) {
  if (mode === 'disable' || (mode === null && ca === undefined)) return {};
  if (ca !== undefined) return { ssl: { ca, ...(mode === 'verify-ca' && { checkServerIdentity: () => undefined }) } };
  return { ssl: mode === 'verify-full' ? true : { rejectUnauthorized: mode === 'verify-ca' } };
}

function hint(message: string): string {
  if (/password authentication failed|no password supplied|password must be a string/.test(message)) {
    return LOGIN_ADVICE;
  }
  if (/certificate/i.test(message)) {
    return certificateAdvice(message);
  }
  if (/does not support SSL/.test(message)) return 'it does not use TLS; set ?sslmode=disable in queue.url';
  if (/database ".*" does not exist/.test(message)) return `${message}; create it, or name another one in queue.url`;
  if (/pg_hba\.conf/.test(message)) return `it refuses this client: ${message}`;
  return message;
}
