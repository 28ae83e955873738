import { BadRequestError } from './admission-request.js';
import { errorAnswer } from './answer.js';
import type { Answer } from './answer.js';
import { BodyTooLargeError, BusyError, SlowBodyError } from './body.js';

/** The answer to a request that failed. */
export interface RequestFailure {
  readonly code: string;
  readonly message: string;
  readonly answer: Answer;
}

/** Bodies that were not read to their end: the connection cannot be reused. */
const UNREAD_BODY_ERRORS = [
  { type: BodyTooLargeError, status: 413, code: 'too_large' },
  { type: BusyError, status: 503, code: 'busy' },
  { type: SlowBodyError, status: 408, code: 'timeout' },
] as const;

/** The answer to an invalid request, or one that comes at a bad time; undefined for an internal error. */
export function requestFailure(error: unknown): RequestFailure | undefined {
  if (error instanceof BadRequestError) {
    const { code, message } = error;
    return { code, message, answer: errorAnswer(400, code, message) };
  }
  const unread = UNREAD_BODY_ERRORS.find(({ type }) => error instanceof type);
  if (unread === undefined || !(error instanceof Error)) return undefined;
  const { code, status } = unread;
  return { code, message: error.message, answer: { ...errorAnswer(status, code, error.message), close: true } };
}

/** The answer to an internal error, which reveals no internals. */
export function internalFailure(): Answer {
  return errorAnswer(500, 'internal', 'image-swapper failed; see its log');
}
