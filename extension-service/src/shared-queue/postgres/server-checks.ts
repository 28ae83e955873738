import type { Client } from 'pg';
import { formatDuration } from '../../core/config/duration.js';
import { messageOf } from '../../util/message-of.js';
import { roleFinding } from '../kind.js';
import type { Finding } from '../kind.js';
import { LOCK_MS, MAX_CLOCK_DIFFERENCE_MS } from '../lease.js';

/** The oldest supported version, as in `server_version_num` without the last four digits. */
const OLDEST = 14;
/** Milliseconds to wait for a lock that a replica holds while it starts. */
const LOCK_TIMEOUT_MS = 5_000;

interface ServerRow {
  readonly version: string;
  readonly number: string;
  readonly replica: boolean;
  readonly readonly: string;
  /** Milliseconds since the epoch. */
  readonly clock: number;
}

/** Whether the server keeps jobs, in which version, and whether its clock is that of this replica. */
export async function findingsOf(client: Pick<Client, 'query'>, now = Date.now): Promise<readonly Finding[]> {
  const asked = now();
  const { rows } = await client.query<ServerRow>(
    `SELECT current_setting('server_version') AS version, current_setting('server_version_num') AS number,
       pg_is_in_recovery() AS replica, current_setting('transaction_read_only') AS readonly,
       (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS clock`,
  );
  const { version = '', number = '', replica = false, readonly = 'off', clock = asked } = rows[0] ?? {};
  const isOld = Math.floor(Number(number) / 10_000) < OLDEST;
  return [
    isOld
      ? { check: 'version', ok: false, message: `is version ${version}; version ${OLDEST} or newer is required` }
      : { check: 'version', ok: true, message: `PostgreSQL ${version}` },
    roleFinding(roleFault(replica, readonly === 'on')),
    clockFinding(clock, asked, now()),
  ];
}

/**
 * BullMQ compares the end of each lease with the clock of the replica that checks it. A replica whose clock is ahead
 * takes the jobs that others copy, and no replica takes those of one that was killed while its clock was ahead.
 *
 * @param asked and `answered`: times of this replica before and after the server's clock was read
 */
function clockFinding(clock: number, asked: number, answered: number): Finding {
  const ahead = clock > answered ? clock - answered : Math.min(clock - asked, 0);
  const limit = formatDuration(MAX_CLOCK_DIFFERENCE_MS);
  if (Math.abs(ahead) <= MAX_CLOCK_DIFFERENCE_MS) {
    return { check: 'clock', ok: true, message: `differs by at most ${limit} from the clock here` };
  }
  const difference = formatDuration(Math.round(Math.abs(ahead) / 1_000) * 1_000);
  const message = `has a clock that is ${difference} ${ahead > 0 ? 'ahead of' : 'behind'} the clock here; leases allow ${limit}: correct the clock that is wrong`;
  return { check: 'clock', ok: false, message };
}

function roleFault(isReplica: boolean, isReadOnly: boolean): string | undefined {
  if (isReplica) return 'is a replica, which stores nothing; name the primary';
  return isReadOnly
    ? 'is read-only (default_transaction_read_only is on, as providers set it when the disk is full)'
    : undefined;
}

/**
 * Removes what a replica stored while its clock was ahead: BullMQ's time of the last check for expired leases, before
 * which no replica checks again, and leases that end later than any replica with a correct clock stores.
 */
export async function removeFutureTimes(client: Pick<Client, 'query'>, schema: string): Promise<void> {
  const { rows } = await client.query<{ exists: boolean }>(
    'SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL AS exists',
    [`"${schema}".meta`, `"${schema}".job`],
  );
  if (rows[0]?.exists !== true) return;
  const latest = '(extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1';
  await client.query(`DELETE FROM "${schema}".meta WHERE field = 'stalled-check' AND value::bigint > ${latest}`, [
    MAX_CLOCK_DIFFERENCE_MS,
  ]);
  await client.query(`UPDATE "${schema}".job SET locked_until_ms = 0 WHERE locked_until_ms > ${latest}`, [
    MAX_CLOCK_DIFFERENCE_MS + LOCK_MS,
  ]);
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
