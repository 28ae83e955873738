import type { QueueConfig } from '../core/config/model.js';
import { messageOf } from '../util/message-of.js';
import { inTime } from '../util/in-time.js';
import { QueueServerError } from './kind.js';
import type { Finding } from './kind.js';
import { QUEUE_KINDS } from './kinds.js';
import { readSettings } from './settings.js';
import type { ReadSecretKey } from './settings.js';

/** One row of `check --online`. */
export interface QueueProbe extends Omit<Finding, 'check'> {
  /** The server, without a secret. */
  readonly registry: string;
  readonly check: Finding['check'] | 'connect';
}

/** Time limit for all checks, in milliseconds. */
const PROBE_TIMEOUT_MS = 30_000;

/** Tests the queue server with the configured credentials; nothing without a server. Never rejects. */
export async function probeQueue(config: QueueConfig, readSecretKey: ReadSecretKey): Promise<readonly QueueProbe[]> {
  const kind = QUEUE_KINDS[config.type];
  if (kind === undefined) return [];
  let registry = `queue ${config.type}`;
  try {
    const settings = await readSettings(config, readSecretKey);
    registry = `queue ${kind.nameOf(settings)}`;
    const findings = await inTime(kind.check(settings), PROBE_TIMEOUT_MS, tooLate);
    return [
      { registry, check: 'connect', ok: true, message: 'responds and accepts the credentials' },
      ...findings.map((finding) => ({ registry, ...finding })),
    ];
  } catch (error) {
    const state = error instanceof QueueServerError ? error.state : 'failed';
    return [{ registry, check: 'connect', ok: false, state, message: messageOf(error) }];
  }
}

function tooLate(): never {
  throw new QueueServerError(`does not finish the checks in ${PROBE_TIMEOUT_MS / 1_000} s`, 'unreachable');
}
