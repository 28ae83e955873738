import { isPresenceCheck } from './job-body.js';
import { isRecord } from '../util/is-record.js';
import { needsMore } from '../core/decide/mirror-job.js';
import { isDigest } from '../core/image/reference.js';
import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { CopyFailure, FailureReason } from '../registry/copy-failure.js';
import type { ReferrerKind } from '../registry/referrer-kinds.js';
import type { CopyOutcome } from '../mirror/copier.js';
import type { MirrorResult } from '../mirror/status.js';

/** The result of one try of a job, as stored on the queue server. */
export type ResultBody = { readonly did: CoveredRequest } & (
  | { readonly ok: true; readonly outcome: CopyOutcome }
  | { readonly ok: false; readonly failure: CopyFailure }
  /** The replica cannot make this copy; the replica that requested it can. */
  | { readonly declined: string }
);

/** The scope of a copy when its job was taken; a later request may need more. `look` is the job's `presenceCheck`. */
export interface CoveredRequest {
  readonly force: boolean;
  readonly look?: NonNullable<MirrorJob['presenceCheck']>;
  readonly allReferrers?: true;
}

const MAX_MESSAGE = 2_000;
const MAX_LIST = 1_000;

export function coveredRequest({ force, presenceCheck, allReferrers }: MirrorJob): CoveredRequest {
  return {
    force,
    ...(presenceCheck !== undefined && { look: presenceCheck }),
    ...(allReferrers === true && { allReferrers }),
  };
}

/** Whether a result with this coverage is enough for the job. */
export function isCovered(job: MirrorJob, { force, look, allReferrers }: CoveredRequest): boolean {
  return !needsMore(job, {
    force,
    ...(look !== undefined && { presenceCheck: look }),
    ...(allReferrers === true && { allReferrers }),
  });
}

export function resultBody(job: MirrorJob, result: MirrorResult): ResultBody {
  const did = coveredRequest(job);
  if (!result.ok) return { did, ok: false, failure: result.failure };
  return { did, ok: true, outcome: result.outcome };
}

/** Parses a result, which anyone with access to the queue server may have written; undefined if it is invalid. */
export function readResult(value: unknown, job: MirrorJob): ResultBody | undefined {
  if (!isRecord(value) || !isRecord(value['did'])) return undefined;
  const did = readCoveredRequest(value['did']);
  if (typeof value['declined'] === 'string') return { did, declined: value['declined'].slice(0, MAX_MESSAGE) };
  if (value['ok'] === true) {
    const outcome = readOutcome(value['outcome'], job);
    return outcome && { did, ok: true, outcome };
  }
  const failure = failureIn(value);
  return failure && { did, ok: false, failure };
}

/** The failure in a result of any job; undefined for everything else. */
export function failureIn(value: unknown): CopyFailure | undefined {
  if (!isRecord(value) || !isRecord(value['did']) || typeof value['declined'] === 'string') return undefined;
  return value['ok'] === false ? readFailure(value['failure']) : undefined;
}

function readCoveredRequest({ force, look, allReferrers }: Record<string, unknown>): CoveredRequest {
  return {
    force: force === true,
    ...(isPresenceCheck(look) && { look }),
    ...(allReferrers === true && { allReferrers }),
  };
}

function readOutcome(value: unknown, { reference }: MirrorJob): CopyOutcome | undefined {
  if (!isRecord(value)) return undefined;
  const { digest, upToDate, platforms, bytes, requests, repaired, unfinished } = value;
  if (typeof digest !== 'string' || !isDigest(digest) || typeof upToDate !== 'boolean') return undefined;
  // An image that is named by digest can only have that digest.
  if (reference.digest !== undefined && reference.digest !== digest) return undefined;
  if (!isRecord(bytes) || !isCount(requests) || !isList(platforms)) return undefined;
  const { uploaded, mounted, skipped } = bytes;
  if (!isCount(uploaded) || !isCount(mounted) || !isCount(skipped)) return undefined;
  const named = platforms.filter(
    (one): one is { platform: string; digest: string } =>
      isRecord(one) && typeof one['platform'] === 'string' && typeof one['digest'] === 'string',
  );
  return {
    digest,
    upToDate,
    platforms: named.map((one) => ({ platform: one.platform, digest: one.digest })),
    bytes: { uploaded, mounted, skipped },
    requests,
    ...(isList(repaired) && { repaired: repaired.filter((one) => typeof one === 'string') }),
    ...(isList(unfinished) && { unfinished: unfinished.filter(isUnfinished) }),
  };
}

const KINDS: readonly unknown[] = ['signature', 'sbom', 'other'] satisfies ReferrerKind[];

function isUnfinished(value: unknown): value is NonNullable<CopyOutcome['unfinished']>[number] {
  return isRecord(value) && typeof value['what'] === 'string' && KINDS.includes(value['kind']);
}

const REASONS: Readonly<Record<FailureReason, true>> = {
  absent: true,
  missing: true,
  unauthorized: true,
  forbidden: true,
  throttled: true,
  unreachable: true,
  invalid: true,
  conflict: true,
  quota: true,
  policy: true,
  unsupported: true,
  'too-large': true,
  refused: true,
  server: true,
  gated: true,
  stopped: true,
  internal: true,
};

function readFailure(value: unknown): CopyFailure | undefined {
  if (!isRecord(value)) return undefined;
  const { reason, message, retryable, retryAfter, host, gate } = value;
  if (typeof reason !== 'string' || !Object.hasOwn(REASONS, reason) || typeof message !== 'string') return undefined;
  return {
    reason: reason as FailureReason,
    message: message.slice(0, MAX_MESSAGE),
    retryable: retryable === true,
    ...(isCount(retryAfter) && { retryAfter }),
    ...(typeof host === 'string' && host.length < 300 && { host }),
    ...(isRecord(gate) && readGate(gate)),
  };
}

function readGate({ check, verdict, until }: Record<string, unknown>): Pick<CopyFailure, 'gate'> {
  if (typeof check !== 'string' || (verdict !== 'held' && verdict !== 'denied')) return {};
  return { gate: { check: check.slice(0, 100), verdict, ...(isCount(until) && { until }) } };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value) && value.length <= MAX_LIST;
}
