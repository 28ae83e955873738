import { createHash } from 'node:crypto';
import { isNamespaceName, isObjectName } from '../core/decide/kubernetes-names.js';
import { PRESENCE_CHECKS, mirrorJobKey } from '../core/decide/mirror-job.js';
import type { MirrorJob, PullContext } from '../core/decide/mirror-job.js';
import type { Rules } from '../core/decide/rules.js';
import { quoteInput } from '../core/image/quote.js';
import { formatReference, parseReference } from '../core/image/reference.js';
import { refusalOf, targetReference } from '../core/naming/name.js';
import { isRecord } from '../util/is-record.js';

/**
 * A job as stored on the queue server. It contains only names: no credentials, and nothing that the copying replica can
 * compute itself.
 */
export interface JobBody {
  readonly v: 1;
  readonly source: string;
  readonly target: string;
  /** `reference.text`. The copying replica computes it again and compares both. */
  readonly reference: string;
  readonly force?: true;
  /** `presenceCheck` of the job. */
  readonly look?: NonNullable<MirrorJob['presenceCheck']>;
  readonly allReferrers?: true;
  /** Namespace, ServiceAccount, names of Secrets. */
  readonly pull?: readonly [string, string, ...string[]];
}

/** Maximum characters of a body as JSON; names of images and Secrets are far shorter. */
export const MAX_BODY_CHARACTERS = 65_536;
const MAX_SECRET_NAMES = 100;

/**
 * The id of a copy, equal in every replica: a hash of the target's reference, which contains the digest, and the
 * platforms.
 */
export function jobId({ key }: Pick<MirrorJob, 'key'>): string {
  // The first character is a letter, because BullMQ treats an id of digits as its own.
  return `c${createHash('sha256').update(key).digest('hex').slice(0, 40)}`;
}

/** The group of all images of one repository in a target. */
export function repositoryId({ reference: { registry, repository } }: Pick<MirrorJob, 'reference'>): string {
  return createHash('sha256').update(`${registry}/${repository}`).digest('hex').slice(0, 40);
}

export function bodyOf({ source, target, reference, force, presenceCheck, allReferrers, pull }: MirrorJob): JobBody {
  return {
    v: 1,
    source,
    target,
    reference: reference.text,
    ...(force && { force }),
    ...(presenceCheck !== undefined && { look: presenceCheck }),
    ...(allReferrers === true && { allReferrers }),
    ...(pull !== undefined && { pull: [pull.namespace, pull.serviceAccount, ...pull.secretNames] }),
  };
}

/** Whether the body is small enough to store: its names come from Pods, which can make them very long. */
export function isStorable(body: JobBody): boolean {
  return JSON.stringify(body).length <= MAX_BODY_CHARACTERS && (body.pull?.length ?? 0) <= MAX_SECRET_NAMES + 2;
}

/**
 * Parses a body that another replica, or anyone with access to the queue server, has written. The name in the target is
 * computed again from the source and must be the same, so that a body cannot put an image under the name of another
 * one. The Pod counts as unproven, because only the body claims that it exists.
 *
 * @returns the job, or a text that says why the body is not a job of this configuration
 */
export function readBody(id: string, data: unknown, rules: Rules): MirrorJob | string {
  const body = fieldsOf(data);
  if (typeof body === 'string') return body;
  const rule = rules.targets.find(({ config }) => config.name === body.target);
  if (rule === undefined) return `target ${quoteInput(body.target)} is not in the configuration`;
  let source;
  try {
    source = parseReference(body.source);
  } catch {
    return `the source ${quoteInput(body.source)} is not an image reference`;
  }
  if (formatReference(source) !== body.source) return `the source ${quoteInput(body.source)} is not normalized`;
  const refusal = refusalOf(rule.naming, source);
  if (refusal !== undefined) return `target ${body.target} ${refusal}`;
  const reference = targetReference(rule.naming, source);
  if (reference.text !== body.reference) {
    return `${quoteInput(body.reference)} is not the name of ${body.source} in target ${body.target}`;
  }
  const key = mirrorJobKey(reference, rule.platforms);
  if (jobId({ key }) !== id) return `its id is not that of ${reference.text}, or its replica copies other platforms`;
  return {
    key,
    source: body.source,
    target: body.target,
    reference,
    platforms: rule.platforms,
    force: body.force === true,
    ...(body.look !== undefined && { presenceCheck: body.look }),
    ...(body.allReferrers === true && { allReferrers: true as const }),
    ...(body.pull !== undefined && { pull: pullOf(body.pull) }),
  };
}

function pullOf([namespace, serviceAccount, ...secretNames]: NonNullable<JobBody['pull']>): PullContext {
  return { namespace, serviceAccount, secretNames, unproven: true };
}

const TEXTS = ['source', 'target', 'reference'] as const;

function fieldsOf(data: unknown): JobBody | string {
  if (!isRecord(data)) return 'the body is not an object';
  if (JSON.stringify(data).length > MAX_BODY_CHARACTERS) return `the body has over ${MAX_BODY_CHARACTERS} characters`;
  const { v, source, target, reference, force, look, allReferrers, pull, ...rest } = data;
  if (v !== 1) return 'the body is not of version 1';
  const unknown = Object.keys(rest)[0];
  if (unknown !== undefined) return `the body has the unknown key ${quoteInput(unknown)}`;
  const wrong = TEXTS.find((key) => typeof data[key] !== 'string');
  if (wrong !== undefined) return `${wrong} is not a string`;
  if (force !== undefined && force !== true) return 'force is not true';
  if (allReferrers !== undefined && allReferrers !== true) return 'allReferrers is not true';
  if (look !== undefined && !isPresenceCheck(look)) return 'look is not a presence check';
  if (pull !== undefined && !isPull(pull)) return 'pull does not name a namespace, a ServiceAccount and Secrets';
  return {
    v,
    source: source as string,
    target: target as string,
    reference: reference as string,
    ...(force === true && { force }),
    ...(look !== undefined && { look }),
    ...(allReferrers === true && { allReferrers }),
    ...(pull !== undefined && { pull }),
  };
}

/** Whether the value names a check of the image in the target. */
export function isPresenceCheck(value: unknown): value is NonNullable<MirrorJob['presenceCheck']> {
  return PRESENCE_CHECKS.some((check) => check === value);
}

function isPull(value: unknown): value is NonNullable<JobBody['pull']> {
  if (!Array.isArray(value) || value.length < 2 || value.length > MAX_SECRET_NAMES + 2) return false;
  const [namespace, ...names] = value as unknown[];
  return (
    typeof namespace === 'string' &&
    isNamespaceName(namespace) &&
    names.every((name) => typeof name === 'string' && isObjectName(name))
  );
}
