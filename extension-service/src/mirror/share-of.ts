import type { MirrorJob } from '../core/decide/mirror-job.js';

/**
 * The share of the queue and of the copy slots that a copy uses: the namespace of the requesting Pod, since a Pod can
 * invent any registry's name, but not its namespace. Copies without a Pod have their own share.
 */
export function shareOf({ pull }: MirrorJob): string {
  return pull?.namespace ?? '';
}

/** Characters of a job that count as one place in the queue; an ordinary job has a few hundred. */
const CHARACTERS_PER_PLACE = 4_096;

/** Places that a job takes in the queue: names come from Pods, so a job with very long ones takes several. */
export function placesOf({ source, reference, pull }: MirrorJob): number {
  let characters = source.length + 2 * reference.text.length;
  if (pull !== undefined) {
    characters += pull.namespace.length + pull.serviceAccount.length;
    for (const name of pull.secretNames) characters += name.length;
  }
  return Math.max(1, Math.ceil(characters / CHARACTERS_PER_PLACE));
}
