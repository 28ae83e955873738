import { utcSeconds } from '../../core/utc-seconds.js';
import { oneLine } from '../../core/image/quote.js';
import type { CopyUpdate } from '../copy-update.js';
import type { EventReason } from './event-reason.js';

/** The API's limit, in bytes of UTF-8. */
const MAX_LENGTH = 1_024;

/** For users who look at their workload: one line. */
export function eventMessage({ source, reference, result }: CopyUpdate, reason: EventReason, now: number): string {
  if (result.ok && reason === 'MirrorRepaired') {
    return fit(
      `${reference} was damaged in its registry and has been repaired: `,
      result.repaired?.join(', ') ?? '',
      '',
    );
  }
  if (result.ok && reason === 'SignaturesMissing') {
    const begin = `${reference} was copied without some signatures of ${source}, which could not be read: `;
    return fit(begin, result.unsigned?.join(', ') ?? '', '; the service retries');
  }
  if (result.ok) return fit(`copied ${source} to ${reference}`, '', ` (${result.digest})`);
  const { failure, nextTry, goneSince } = result;
  // Failure messages begin with the image, which the sentence already contains.
  const repeated = `${source}: `;
  const text = failure.message.startsWith(repeated) ? failure.message.slice(repeated.length) : failure.message;
  if (goneSince !== undefined) {
    return fit(
      `${source} has been gone from its registry since ${utcSeconds(goneSince)}; ${reference} is kept: `,
      text,
      '',
    );
  }
  // The message contains the time.
  if (failure.gate !== undefined) return fit(`${source} is not copied to ${reference}: `, text, '');
  const begin = `copying ${source} to ${reference} failed: ${failure.reason}: `;
  return fit(begin, text, `; ${whenNext(failure.retryable, nextTry, now)}`);
}

/** For users who look at the Lease: one line. */
export function queueLossMessage(message: string): string {
  return fit('The replica that holds this Lease copies alone: ', message, '');
}

function whenNext(retryable: boolean, nextTry: number | undefined, now: number): string {
  if (nextTry === undefined || Number.isNaN(new Date(nextTry).getTime())) return 'not retried until the next request';
  if (retryable) return `next attempt in ${span(Math.max(0, nextTry - now))}`;
  return `not retried until ${utcSeconds(nextTry)}`;
}

function span(milliseconds: number): string {
  const seconds = Math.ceil(milliseconds / 1_000);
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

/** The middle is shortened: the image and the time of the next try matter most. */
function fit(begin: string, middle: string, end: string): string {
  const [head, body, tail] = [oneLine(begin), oneLine(middle), oneLine(end)];
  const room = MAX_LENGTH - bytes(head) - bytes(tail);
  return cut(`${cut(head, MAX_LENGTH - bytes(tail))}${cut(body, Math.max(0, room))}${tail}`, MAX_LENGTH);
}

/** Cuts to this many bytes, between two characters. */
function cut(text: string, limit: number): string {
  if (bytes(text) <= limit) return text;
  const mark = '…';
  if (limit < bytes(mark)) return '';
  let kept = '';
  let length = bytes(mark);
  for (const character of text) {
    length += bytes(character);
    if (length > limit) break;
    kept += character;
  }
  return `${kept}${mark}`;
}

function bytes(text: string): number {
  return Buffer.byteLength(text);
}
