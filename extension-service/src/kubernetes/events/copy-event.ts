import { createHash } from 'node:crypto';
import type { CopyUpdate } from '../copy-update.js';
import type { ObjectReference } from '../object-reference.js';
import type { EventReason } from './event-reason.js';
import { eventMessage, queueLossMessage } from './message.js';

export type { EventReason } from './event-reason.js';

/** The Event about a copy for one of the objects that use the image. */
export interface CopyEvent {
  /** Equal for the same object, reason and image, in every replica and after every restart. */
  readonly name: string;
  readonly namespace: string;
  readonly object: ObjectReference;
  readonly type: 'Normal' | 'Warning';
  readonly reason: EventReason;
  /** One line of at most 1024 bytes. */
  readonly message: string;
}

/** The type for successes. */
const NORMAL_REASONS: ReadonlySet<EventReason> = new Set(['Mirrored', 'MirrorHeld']);

/** Maximum number of workloads to report an image on. */
export const MAX_USERS = 5;

/** None if there is nothing to report: the copy already existed, or another replica continues with it. */
export function copyEvents(update: CopyUpdate, now: number): readonly CopyEvent[] {
  return reasonsOf(update).flatMap((reason) => {
    const message = eventMessage(update, reason, now);
    return sampleOf(update.users).map((object) => ({
      name: eventName(object, reason, `${update.source} ${update.reference}`),
      namespace: object.namespace === '' ? 'default' : object.namespace,
      object,
      type: NORMAL_REASONS.has(reason) ? ('Normal' as const) : ('Warning' as const),
      reason,
      message,
    }));
  });
}

/** The Event on the Lease when the queue server cannot be used. */
export function queueLossEvent(lease: ObjectReference, message: string): CopyEvent {
  return {
    name: eventName(lease, 'QueueServerLost', ''),
    namespace: lease.namespace,
    object: lease,
    type: 'Warning',
    reason: 'QueueServerLost',
    message: queueLossMessage(message),
  };
}

function reasonsOf({ result }: CopyUpdate): readonly EventReason[] {
  if (result.ok) {
    const { upToDate, repaired, unsigned } = result;
    return [
      ...(upToDate || repaired !== undefined ? [] : (['Mirrored'] as const)),
      ...(repaired === undefined ? [] : (['MirrorRepaired'] as const)),
      ...(unsigned === undefined ? [] : (['SignaturesMissing'] as const)),
    ];
  }
  const { reason, gate } = result.failure;
  if (reason === 'stopped') return [];
  if (result.goneSince !== undefined) return ['SourceVanished'];
  if (gate !== undefined) return [gate.verdict === 'held' ? 'MirrorHeld' : 'MirrorDenied'];
  return [reason === 'conflict' ? 'TagConflict' : 'MirrorFailed'];
}

/**
 * Selects the same objects each time, so that retries do not report on others, and from as many namespaces as possible.
 */
function sampleOf(users: readonly ObjectReference[]): readonly ObjectReference[] {
  const sorted = [...users].sort((a, b) => compare(a.namespace, b.namespace) || compare(a.uid, b.uid));
  const firstPerNamespace = sorted.filter(({ namespace }, index) => namespace !== sorted[index - 1]?.namespace);
  const chosen = new Map([...firstPerNamespace, ...sorted].map((user) => [user.uid, user]));
  return [...chosen.values()].slice(0, MAX_USERS);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

const MAX_NAME_LENGTH = 253;
const SUBDOMAIN = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$/;

/** A name in client-go's form: the object's name and a unique suffix. */
function eventName({ name, uid }: ObjectReference, reason: EventReason, image: string): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([uid, reason, image]))
    .digest('hex')
    .slice(0, 20);
  const room = name.slice(0, MAX_NAME_LENGTH - hash.length - 1).replace(/[.-]+$/, '');
  return `${SUBDOMAIN.test(room) ? room : 'image-swapper'}.${hash}`;
}
