import type { QueueServerKind } from './kind.js';
import { memory } from './memory/kind.js';
import { postgres } from './postgres/kind.js';
import { redis } from './redis/kind.js';

/** The kinds of queues by `queue.type`; undefined for the kind without a server. */
export const QUEUE_KINDS: Readonly<Record<string, QueueServerKind | undefined>> = { memory, redis, postgres };
