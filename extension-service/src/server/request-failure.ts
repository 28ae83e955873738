import { BadRequestError } from './admission-request.js';
import { errorAnswer } from './answer.js';
import type { Answer } from './answer.js';
import { BodyTooLargeError, BusyError, SlowBodyError } from './body.js';

/** The answer to a request that cannot be served. */
export interface RequestFailure {
  readonly code: string;
  readonly message: string;
  readonly answer: Answer;
}

/** Bodies that were not read to their end: the connection cannot be used again. */
const UNREAD_BODIES = [
  { type: BodyTooLargeError, status: 413, code: 'too_large' },
  { type: BusyError, status: 503, code: 'busy' },
  { type: SlowBodyError, status: 408, code: 'timeout' },
] as const;

/** The answer to a request that is at fault, or that comes at a bad time; undefined for an error of our own. */
export function requestFailure(error: unknown): RequestFailure | undefined {
  if (error instanceof BadRequestError) {
    const { code, message } = error;
    return { code, message, answer: errorAnswer(400, code, message) };
  }
  const unread = UNREAD_BODIES.find(({ type }) => error instanceof type);
  if (unread === undefined || !(error instanceof Error)) return undefined;
  const { code, status } = unread;
  return { code, message: error.message, answer: { ...errorAnswer(status, code, error.message), close: true } };
}

/** The answer to an error of our own, which reveals nothing internal. */
export function internalFailure(): Answer {
  return errorAnswer(500, 'internal', 'image-swapper failed; see its log');
}
