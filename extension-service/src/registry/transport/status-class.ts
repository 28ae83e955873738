import type { Diagnostic, RegistryErrorKind } from '../errors.js';
import { wordedRefusal } from './worded-refusals.js';

/** An answer with an unexpected status. */
export interface Refusal {
  readonly status: number;
  readonly method: string;
  readonly path: string;
  readonly diagnostics: readonly Diagnostic[];
  /** The rest of the body's text, or the title of an HTML page. */
  readonly words: string;
}

/** The class of a failure, whether time alone fixes it, and the remedy. */
export interface RefusalClass {
  readonly kind: RegistryErrorKind;
  readonly retryable?: boolean;
  /** Milliseconds. */
  readonly retryAfter?: number;
  readonly advice?: string;
  /** The advice only says that a credential or a permission is missing. */
  readonly isGeneral?: true;
}

interface ResponseFacts extends Refusal {
  readonly text: string;
  readonly isWrite: boolean;
  readonly isManifestPut: boolean;
}

/** A status has many causes, so codes and words are checked first. The first matching rule decides. */
const RULES: readonly ((facts: ResponseFacts) => RefusalClass | undefined)[] = [
  throttled,
  storage,
  worded,
  readOnly,
  clientCertificate,
  tooLarge,
  quota,
  policy,
  unsupported,
  immutableTag,
  namedByCode,
  byStatus,
];

/** Classifies a failure by its codes and words, by the kind of request, and last by its status. */
export function classOf(refusal: Refusal): RefusalClass {
  const { method, path, diagnostics, words } = refusal;
  const text = [...diagnostics.map(({ code, message }) => `${code} ${message}`), words].join(' ');
  const isWrite = method !== 'GET' && method !== 'HEAD';
  const isManifestPut = method === 'PUT' && path.includes('/manifests/');
  const facts: ResponseFacts = {
    ...refusal,
    text,
    isWrite: isWrite || path.includes('/blobs/uploads/'),
    isManifestPut,
  };
  for (const rule of RULES) {
    const found = rule(facts);
    if (found !== undefined) return found;
  }
  return { kind: 'invalid' };
}

const RATE = /toomanyrequests|too many requests|rate.?limit|throttl|slow ?down|quota metric|per (second|minute)/i;

function throttled({ status, text }: ResponseFacts): RefusalClass | undefined {
  const isRate = (status === 403 || status === 400 || status === 424) && RATE.test(text);
  return status === 429 || isRate || text.includes('TOOMANYREQUESTS') ? { kind: 'throttled' } : undefined;
}

/** Temporary failures of S3 and compatible storages, whose status is 400 or 403 for some of them. */
const STORAGE_CODES =
  /^(RequestTimeout|InternalError|OperationAborted|ServiceUnavailable|ServerBusy|OperationTimedOut|ExpiredToken|RequestTimeTooSkewed)$/;
const EXPIRED = /request has expired|signature (has )?expired|url (has )?expired|token has expired/i;

/** How storages refuse a URL that the registry has signed: Azure and CloudFront do not say that it has expired. */
const REFUSED_URL_CODES = /^(AuthenticationFailed|AccessDenied)$/;
const REFUSED_URL_ADVICE =
  "the registry's storage refused the URL that the registry had signed; the service retries with another one";

/** The next request gets another signed URL from the registry. */
function storage({ status, path, text, isWrite, diagnostics }: ResponseFacts): RefusalClass | undefined {
  const isTemporary = diagnostics.some(({ code }) => STORAGE_CODES.test(code));
  const isRead403 = !isWrite && status === 403;
  if (isTemporary || (isRead403 && EXPIRED.test(text))) return { kind: 'server', retryable: true };
  const isRefusedUrl =
    isRead403 && !path.startsWith('/v2/') && diagnostics.some(({ code }) => REFUSED_URL_CODES.test(code));
  return isRefusedUrl ? { kind: 'server', retryable: true, advice: REFUSED_URL_ADVICE } : undefined;
}

/** Statuses of refusals; 429 and 5xx pass with time, whatever their text. */
function worded({ status, text }: ResponseFacts): RefusalClass | undefined {
  const found = status >= 400 && status < 500 ? wordedRefusal(text) : undefined;
  return found && { kind: found.kind, retryable: false, advice: found.advice };
}

/** Harbor answers 403, distribution 405, others 503. A login that may only read is another matter. */
const READ_ONLY =
  /read[- ]?only mode|\b(system|registry|server|instance|service|storage)\b.{0,40}\bread[- ]?only\b|\bmaintenance\b|\bpushes\b.{0,40}\bdisabled\b/i;

function readOnly({ status, text, isWrite }: ResponseFacts): RefusalClass | undefined {
  if (!isWrite || status < 400 || !READ_ONLY.test(text)) return undefined;
  const advice = 'the registry accepts no changes for now; the service retries';
  return { kind: 'server', retryable: true, advice };
}

function clientCertificate({ status, text }: ResponseFacts): RefusalClass | undefined {
  const namesClientCertificate = /no required ssl certificate|client certificate|ssl certificate error/i.test(text);
  if (status !== 495 && status !== 496 && !((status === 400 || status === 403) && namesClientCertificate))
    return undefined;
  return { kind: 'unauthorized', retryable: false, advice: CLIENT_CERTIFICATE_ADVICE };
}

export const CLIENT_CERTIFICATE_ADVICE = 'the registry requires a client certificate: set oci.clientCertificate for it';

function tooLarge({ status, text, isManifestPut }: ResponseFacts): RefusalClass | undefined {
  if (status !== 413 || /quota|storage/i.test(text)) return undefined;
  const advice = isManifestPut
    ? 'the manifest is larger than the registry accepts'
    : 'the registry or a proxy in front of it limits the request size: raise that limit, or set oci.uploadChunk to fewer bytes';
  return { kind: 'too-large', advice };
}

const QUOTA =
  /quota|LimitExceeded|limit exceeded|exceed.*\b(limit|maximum|storage)|maximum (allowed |permitted )?(number|count|storage)|upper limit|limit is \d+|storage limit|over (the |its )?limit/i;
const FULL = /no space left|insufficient storage|disk (is )?full|storage ?full/i;
const QUOTA_STATUSES: ReadonlySet<number> = new Set([400, 403, 405, 409, 412, 413, 422]);

function quota({ status, text, isWrite, diagnostics }: ResponseFacts): RefusalClass | undefined {
  const isContentError = diagnostics.some(({ code }) => /^(MANIFEST_INVALID|SIZE_INVALID|DIGEST_INVALID)$/.test(code));
  const isQuota = isWrite && QUOTA_STATUSES.has(status) && !isContentError && QUOTA.test(text);
  const isPayment = status === 402 && isWrite;
  if (status !== 507 && !isPayment && !isQuota && !(isWrite && FULL.test(text))) return undefined;
  const advice = "the registry's quota is used up: delete images there, or raise the quota";
  return { kind: 'quota', retryable: false, advice };
}

const POLICY =
  /polic(y|ies)|vulnerab|quarantin|xray|not (yet )?(been )?scanned|\bscan\b|severity|not signed|unsigned|content trust/i;
/** Words of identity and access management, which has its own policies. */
const PERMISSION = /not authorized|permission|access denied|identity-based|resource-based|iam\b/i;
const SCANNING =
  /scan\w*\b.*\b(running|pending|queued|progress|scheduled|not (yet )?(ended|finished|complete))|not (yet )?(been )?scanned/i;
/** Approximate duration of a scan, in milliseconds. */
const SCAN_MS = 30_000;

function policy({ status, text, isWrite, diagnostics }: ResponseFacts): RefusalClass | undefined {
  const byCode = diagnostics.some(({ code }) => code === 'PROJECTPOLICYVIOLATION');
  const byStatus = status === 451 || (status === 412 && !isWrite);
  const matchesText =
    (status === 403 || status === 412 || status === 409) && POLICY.test(text) && !PERMISSION.test(text);
  if (!byCode && !byStatus && !matchesText) return undefined;
  const kept = "the registry's policy does not release this image";
  if (SCANNING.test(text)) {
    const advice = `${kept} before its scan has finished; the service retries`;
    return { kind: 'policy', retryable: true, retryAfter: SCAN_MS, advice };
  }
  return { kind: 'policy', retryable: false, advice: `${kept}: fix what it reports, or allow the image there` };
}

/** Alibaba's and Huawei's registries name neither a code nor a media type. */
const UNSUPPORTED_MANIFEST = /media ?type|unsupported manifest|manifest class|schema ?version|parse '?manifest\.json/i;

function unsupported({ status, method, text, isManifestPut, diagnostics }: ResponseFacts): RefusalClass | undefined {
  const named = diagnostics.find(({ mediaType }) => mediaType !== undefined)?.mediaType;
  const matchesText = isManifestPut && status >= 400 && status < 500 && UNSUPPORTED_MANIFEST.test(text);
  if (method === 'PATCH' && (status === 405 || status === 501)) {
    return { kind: 'unsupported', advice: 'the registry does not accept chunks of a layer: remove oci.uploadChunk' };
  }
  const byStatus = status === 415 || (status === 406 && isManifestPut);
  if (!byStatus && !matchesText && !(isManifestPut && named !== undefined)) return undefined;
  return { kind: 'unsupported', retryable: false, ...(named !== undefined && { advice: mediaTypeAdvice(named) }) };
}

/** Advice if a registry rejects a manifest's media type. */
export function mediaTypeAdvice(mediaType: string): string {
  const docker = mediaType.startsWith('application/vnd.docker.')
    ? ' (a Docker type: zot accepts it with http.compat: [docker2s2])'
    : '';
  return `the registry does not accept the media type ${mediaType}${docker}`;
}

const IMMUTABLE =
  /immutab|ImageTagAlreadyExists|TAG_INVALID|already exists|overwrit|does not allow updating|cannot be (updated|modified|changed)/i;
const TEMPORARY = /concurren|try again|in progress|locked/i;

function immutableTag({ status, text, isManifestPut }: ResponseFacts): RefusalClass | undefined {
  if (!isManifestPut || status < 400 || status >= 500 || status === 401 || status === 404) return undefined;
  if (status === 409 && TEMPORARY.test(text) && !/immutab/i.test(text)) return { kind: 'server' };
  if (status !== 409 && status !== 412 && !IMMUTABLE.test(text)) return undefined;
  return { kind: 'conflict', advice: 'the tag is immutable and refers to another image' };
}

/**
 * Texts of registries that have no error code for a manifest whose layers, or children, they do not see (yet). Of another
 * manifest, only its digest or its part in the index makes it content (goharbor/harbor#20726).
 */
export const MISSING_CONTENT = new RegExp(
  [
    String.raw`\b(blobs?|layers?|config)\b.*\b(unknown|not found|missing|do(es)? not exist)`,
    'unknown (blob|layer)|failed to (copy|find) (blob|layer)',
    String.raw`\b(manifest|artifact|image)\b.{0,300}\bsha\d+:[0-9a-f]{6,}.{0,80}\b(unknown|not found|missing|do(es)? not exist)`,
    String.raw`\b(child|referenced|referred)\b.{0,40}\b(manifest|artifact|image)s?\b.{0,300}\b(unknown|not found|missing|do(es)? not exist)`,
  ].join('|'),
  'i',
);

/**
 * Content that a manifest refers to, or a repository, does not exist, regardless of the status (distribution 2.8
 * answers 500).
 */
function namedByCode({ status, text, isWrite, isManifestPut, diagnostics }: ResponseFacts): RefusalClass | undefined {
  if (status === 401 || status === 403) return undefined;
  if (isManifestPut && status < 500 && MISSING_CONTENT.test(text)) return { kind: 'missing' };
  const has = (pattern: RegExp): boolean => diagnostics.some(({ code }) => pattern.test(code));
  if (isWrite && has(/^(MANIFEST_BLOB_UNKNOWN|BLOB_UNKNOWN|MANIFEST_UNKNOWN)$/)) return { kind: 'missing' };
  if (status < 500) return undefined;
  if (!isWrite && has(/^(MANIFEST_UNKNOWN|NAME_UNKNOWN|BLOB_UNKNOWN)$/)) return { kind: 'absent' };
  return has(/^MANIFEST_/) ? { kind: 'invalid' } : undefined;
}

/**
 * Temporary failures of a connection, a server or a proxy: the request need not change. An Azure registry answers 424
 * while the source of a cache rule fails.
 */
const TRANSIENT: ReadonlySet<number> = new Set([408, 421, 423, 424, 425, 460, 499]);

function byStatus({ status, method, path, isWrite, diagnostics, text }: ResponseFacts): RefusalClass {
  if (status === 405 && method === 'POST' && path.endsWith('/blobs/uploads/')) {
    return {
      kind: 'invalid',
      advice: 'the registry accepts no pushes: it is read-only for now, or a pull-through cache',
    };
  }
  if (status === 401) return { kind: 'unauthorized', ...noCredential(text) };
  if (status === 403) return { kind: 'forbidden', advice: 'the credentials lack the permission', isGeneral: true };
  if (status === 402) return { kind: 'forbidden', advice: 'the registry requires a payment or a higher plan' };
  if (status === 404 || (status === 410 && !isWrite)) {
    if (!isWrite) return { kind: 'absent' };
    const noRepository = diagnostics.some(({ code }) => code === 'NAME_UNKNOWN');
    return { kind: 'missing', ...(noRepository && { advice: 'the registry does not have this repository' }) };
  }
  return status >= 500 ? { kind: 'server' } : { kind: 'invalid', retryable: TRANSIENT.has(status) };
}

/** Harbor answers 401 to a valid login if the project does not exist (goharbor/harbor#81, #13988). */
const UNKNOWN_PROJECT = /unauthorized to access repository/i;

function noCredential(text: string): Pick<RefusalClass, 'advice' | 'isGeneral'> {
  const advice = 'no credential was accepted; check the pull secrets or the credentials in the configuration';
  if (!UNKNOWN_PROJECT.test(text)) return { advice, isGeneral: true };
  return { advice: `${advice}; the project, which is the first part of the path, must exist`, isGeneral: true };
}
