import type { Client } from 'pg';
import { messageOf } from '../../util/message-of.js';
import { roleFinding } from '../kind.js';
import type { Finding } from '../kind.js';

/** The oldest supported version, as in `server_version_num` without the last four digits. */
const OLDEST = 14;
/** Milliseconds to wait for a lock that a replica holds while it starts. */
const LOCK_TIMEOUT_MS = 5_000;

/** Whether the server keeps jobs, and in which version. */
export async function findingsOf(client: Pick<Client, 'query'>): Promise<readonly Finding[]> {
  const { rows } = await client.query<{ version: string; number: string; replica: boolean; readonly: string }>(
    `SELECT current_setting('server_version') AS version, current_setting('server_version_num') AS number,
       pg_is_in_recovery() AS replica, current_setting('transaction_read_only') AS readonly`,
  );
  const { version = '', number = '', replica = false, readonly = 'off' } = rows[0] ?? {};
  const isOld = Math.floor(Number(number) / 10_000) < OLDEST;
  return [
    isOld
      ? { check: 'version', ok: false, message: `is version ${version}; version ${OLDEST} or newer is required` }
      : { check: 'version', ok: true, message: `PostgreSQL ${version}` },
    roleFinding(roleFault(replica, readonly === 'on')),
  ];
}

function roleFault(isReplica: boolean, isReadOnly: boolean): string | undefined {
  if (isReplica) return 'is a replica, which stores nothing; name the primary';
  return isReadOnly
    ? 'is read-only (default_transaction_read_only is on, as providers set it when the disk is full)'
    : undefined;
}

/** Tries what the start of the service does, in a transaction that is rolled back. */
export async function rightsOf(client: Pick<Client, 'query'>, schema: string): Promise<Finding> {
  try {
    await client.query(`BEGIN; SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`);
    // The prefix has only letters, digits and underscores.
    await client.query(`CREATE SCHEMA IF NOT EXISTS "${schema}"; CREATE TABLE "${schema}".image_swapper_check (n int)`);
    const { rows } = await client.query<{ owner: string }>(
      `SELECT tableowner AS owner FROM pg_tables
        WHERE schemaname = $1 AND NOT pg_has_role(current_user, tableowner, 'USAGE') LIMIT 1`,
      [schema],
    );
    const [foreign] = rows;
    if (foreign === undefined) return { check: 'rights', ok: true, message: 'may create and use its tables' };
    const message = `the tables in schema ${schema} belong to ${foreign.owner}: connect as that user, or set another queue.prefix`;
    return { check: 'rights', ok: false, state: 'refused', message };
  } catch (error) {
    const message = `cannot create its tables: ${messageOf(error)}`;
    return message.includes('permission denied')
      ? {
          check: 'rights',
          ok: false,
          state: 'refused',
          message: `${message}; grant CREATE on the database to the user`,
        }
      : { check: 'rights', ok: false, message };
  } finally {
    await client.query('ROLLBACK').catch(() => undefined);
  }
}
