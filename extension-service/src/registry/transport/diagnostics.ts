import { oneLine } from '../../core/image/quote.js';
import { parseBoundedJson } from '../../core/json-bounds.js';
import type { Diagnostic } from '../errors.js';
import { redactSecrets } from '../sent-secrets.js';
import { isRecord } from '../../util/is-record.js';

const MAX_DIAGNOSTICS = 5;

/**
 * The contents of an error body: the `errors` of the distribution spec ("Error Codes"), OAuth's `error` and
 * `error_description` (RFC 6749, section 5.2), or other members that registries and token servers use; none for any
 * other body.
 */
export function parseDiagnostics(body: string): Diagnostic[] {
  let json: unknown;
  try {
    json = parseBoundedJson(body, body.length);
  } catch {
    return xmlDiagnostics(body);
  }
  if (!isRecord(json)) return [];
  const { errors, error } = json;
  // Some send one entry without a list, or call it `error`.
  const entries = Array.isArray(errors) ? errors : [errors, error].filter(isRecord);
  const listed = entries.slice(0, MAX_DIAGNOSTICS).flatMap(diagnosticOf);
  return listed.length > 0 ? listed : otherDiagnostics(json);
}

/** The error of a storage that a registry redirects to: S3, Google Cloud Storage, Azure Blob Storage. */
function xmlDiagnostics(body: string): Diagnostic[] {
  if (!/^\s*<(\?xml\b[^>]*>\s*<)?Error>/.test(body)) return [];
  const read = (name: string): string => clip(new RegExp(`<${name}>([^<]{1,2000})</${name}>`).exec(body)?.[1]);
  const [code, message] = [read('Code'), read('Message').trim()];
  return code === '' && message === '' ? [] : [{ code, message }];
}

function diagnosticOf(entry: unknown): Diagnostic[] {
  if (typeof entry === 'string') return diagnostic('', entry);
  if (!isRecord(entry)) return [];
  const { code, message, detail } = entry;
  // zot names the media type that it rejects.
  const mediaType = isRecord(detail) ? clip(detail['mediaType']) : '';
  // Artifactory has the reason in the detail, below a message that is the same for all.
  const description = isRecord(detail) ? clip(detail['description']) : '';
  const words = [message, detail].map(clip).find((part) => part !== '') ?? '';
  const text = [words, description].filter((part) => part !== '').join(': ');
  const known = { code: inCapitals(clip(code)), message: text };
  return known.code === '' && text === '' ? [] : [{ ...known, ...(mediaType !== '' && { mediaType }) }];
}

/** The spec's codes are in upper case; some registries send lower case. */
function inCapitals(code: string): string {
  return /^[a-z]+(?:_[a-z]+)*$/.test(code) ? code.toUpperCase() : code;
}

/**
 * Docker Hub writes `details`, GitLab `message`, AWS `message` and the code as `__type`, FastAPI `detail`; `error` alone is
 * text, not a code.
 */
function otherDiagnostics(json: Readonly<Record<string, unknown>>): Diagnostic[] {
  const description = clip(json['error_description']);
  if (description !== '') return diagnostic(clip(json['error']), description);
  const text = ['message', 'details', 'detail', 'error', 'errors'].map((name) => clip(json[name])).find(Boolean);
  return diagnostic(clip(json['__type']), text ?? '');
}

function diagnostic(code: string, message: string): Diagnostic[] {
  return clip(message) === '' ? [] : [{ code, message: clip(message) }];
}

/** The text of a body that is not JSON: its words, or the title of an HTML page. */
export function plainText(body: string): string {
  if (/^\s*[[{]/.test(body)) return '';
  if (!/^\s*</.test(body)) return clip(body).trim();
  return clip(/<title[^>]*>([^<]{1,2000})/i.exec(body)?.[1]).trim();
}

/** Maximum characters to show in a message, and to read. */
const MAX_SHOWN = 300;
const MAX_READ_CHARACTERS = 8_192;

function clip(value: unknown): string {
  if (typeof value !== 'string') return '';
  // Secrets are blanked before the text is cut, which could leave a part of one. One line, no escape sequences: the
  // text goes into logs.
  return oneLine(
    redactSecrets(value.slice(0, MAX_READ_CHARACTERS))
      .slice(0, MAX_SHOWN)
      .replace(/\p{Cc}/gu, ' '),
  );
}
