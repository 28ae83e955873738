/**
 * The credentials that this thread has sent to registries and token servers, so that none of their answers can carry
 * them into an error, and from there into a log, an Event, `/v1/mirrors` or `explain`.
 */

/** Maximum credentials to keep; the longest unused are dropped first. */
const MAX_SECRETS = 1_000;
const BLANK = '***';
/** Shorter ones are too likely to be part of ordinary text. */
const MIN_LENGTH = 4;
/** Shorter ones are only blanked as whole words: a password such as `secret` must not affect `secrets`. */
const MIN_LENGTH_INSIDE_WORDS = 8;
/**
 * For a longer form, only its start is searched, because a message may contain no more of it. The rest is blanked as
 * well.
 */
const MAX_FORM_LENGTH = 24;
/** Minimum length of a secret's base64 inside other text. */
const MIN_BASE64_LENGTH = 8;

interface SecretForm {
  readonly text: string;
  /** The whole form, where it has characters that end a word. */
  readonly whole?: string;
  /** The characters around the text that are blanked too. */
  readonly around: 'nothing' | 'rest' | 'base64';
  readonly wholeWord: boolean;
}

/** By secret, the latest last. The forms are computed when there is a text to check. */
const secrets = new Map<string, readonly SecretForm[] | undefined>();

/** Registers a password or a token that is about to be sent. */
export function rememberSecret(secret: string): void {
  if (secret.length < MIN_LENGTH) return;
  const forms = secrets.get(secret);
  secrets.delete(secret);
  secrets.set(secret, forms);
  const [oldest] = secrets.keys();
  if (secrets.size > MAX_SECRETS && oldest !== undefined) secrets.delete(oldest);
}

/** Forgets all credentials. Test files that share a process call it, so that none blanks the texts of the next one. */
export function forgetSecrets(): void {
  secrets.clear();
}

/**
 * Registers the content of an Authorization or Proxy-Authorization header: the token, or the password and its base64.
 */
export function rememberAuthorization(header: string | undefined): void {
  if (header === undefined) return;
  const [scheme = '', value = ''] = header.split(' ', 2);
  rememberSecret(value);
  if (scheme.toLowerCase() !== 'basic') return;
  const pair = Buffer.from(value, 'base64').toString('utf8');
  rememberSecret(pair.slice(pair.indexOf(':') + 1));
}

/**
 * Replaces every credential that was sent with `***`: in plain text, in base64 and base64url (also inside longer
 * base64), in hexadecimal, and each of these percent-encoded or escaped as in JSON, forms or HTML. An encoded text that
 * contains a credential is returned decoded.
 */
export function redactSecrets(text: string): string {
  if (secrets.size === 0 || text.length < MIN_LENGTH) return text;
  let result = text;
  // Encoded forms first: a blank inside one would hide the rest of it from its decoder.
  for (const decode of DECODERS) {
    const decoded = decode(result);
    if (decoded === result) continue;
    const blanked = redactPlain(decoded);
    if (blanked !== decoded) result = blanked;
  }
  return redactPlain(result);
}

function redactPlain(text: string): string {
  const ranges: [start: number, end: number][] = [];
  for (const [secret, known] of secrets) {
    const forms = known ?? formsOf(secret);
    if (known === undefined) secrets.set(secret, forms);
    for (const form of forms) collect(text, form, ranges);
  }
  return ranges.length === 0 ? text : withoutRanges(text, ranges);
}

function collect(text: string, form: SecretForm, ranges: [number, number][]): void {
  for (let at = text.indexOf(form.text); at >= 0; at = text.indexOf(form.text, at + 1)) {
    let [start, end] = [at, at + form.text.length];
    if (form.wholeWord && (WORD_CHARACTER.test(text[start - 1] ?? '') || WORD_CHARACTER.test(text[end] ?? '')))
      continue;
    while (end < text.length && text[end] === form.whole?.[end - at]) end += 1;
    if (form.around === 'rest') while (end < text.length && REST_OF_SECRET.test(text[end] ?? '')) end += 1;
    if (form.around === 'base64') {
      while (start > 0 && BASE64.test(text[start - 1] ?? '')) start -= 1;
      while (end < text.length && BASE64.test(text[end] ?? '')) end += 1;
    }
    ranges.push([start, end]);
  }
}

const WORD_CHARACTER = /[\p{L}\p{N}]/u;
const REST_OF_SECRET = /[^\s"'<>,;]/;
const WORD_ENDS = /[\s"'<>,;]/;
const BASE64 = /[A-Za-z0-9+/_=%-]/;

function withoutRanges(text: string, ranges: readonly [number, number][]): string {
  const sorted = [...ranges].sort(([a], [b]) => a - b);
  let result = '';
  let done = 0;
  for (const [start, end] of sorted) {
    if (start >= done) result += text.slice(done, start) + BLANK;
    done = Math.max(done, end);
  }
  return result + text.slice(done);
}

function formsOf(secret: string): SecretForm[] {
  const bytes = Buffer.from(secret, 'utf8');
  const hex = bytes.toString('hex');
  const plain = [secret, bytes.toString('utf8'), hex, hex.toUpperCase()].map((text) => formOf(text, 'rest'));
  const encoded = [0, 1, 2].flatMap((offset) => base64Inside(bytes, offset)).map((text) => formOf(text, 'base64'));
  const all = [...plain, ...encoded].filter(({ text }) => text.length >= MIN_LENGTH);
  return [...new Map(all.map((form) => [`${form.around} ${form.text}`, form])).values()];
}

function formOf(text: string, around: 'rest' | 'base64'): SecretForm {
  const isCut = text.length > MAX_FORM_LENGTH;
  const wholeWord = around === 'rest' && text.length < MIN_LENGTH_INSIDE_WORDS;
  return {
    text: text.slice(0, MAX_FORM_LENGTH),
    ...(isCut && WORD_ENDS.test(text) && { whole: text }),
    around: isCut || around === 'base64' ? around : 'nothing',
    wholeWord,
  };
}

/** The part of a secret that is the same in every base64 text in which `offset` bytes (modulo 3) come before it. */
function base64Inside(bytes: Buffer, offset: number): string[] {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64url');
  const from = Math.ceil((offset * 8) / 6);
  const to = Math.floor(((offset + bytes.length) * 8) / 6);
  const inside = text.slice(from, to);
  if (inside.length < MIN_BASE64_LENGTH && offset > 0) return [];
  const url = offset === 0 && inside.length < MIN_BASE64_LENGTH ? text : inside;
  return [url, url.replaceAll('-', '+').replaceAll('_', '/')];
}

function decodePercent(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'));
}

function decodeForm(text: string): string {
  return decodePercent(text.replaceAll('+', ' '));
}

/** The characters that stand for escapes of JSON. */
function decodeJson(text: string): string {
  return text.replace(/\\(?:u([0-9a-f]{4})|(.))/gi, (_, code: string | undefined, character: string) =>
    code === undefined ? (JSON_ESCAPES[character] ?? character) : String.fromCharCode(Number.parseInt(code, 16)),
  );
}

const JSON_ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

function decodeHtml(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]{1,4})|#(\d{1,5})|(amp|lt|gt|quot|apos));/gi, (_, hex, decimal, name) => {
    if (typeof name === 'string') return HTML_ENTITIES[name.toLowerCase()] ?? '';
    return String.fromCharCode(typeof hex === 'string' ? Number.parseInt(hex, 16) : Number(decimal));
  });
}

const HTML_ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

const DECODERS: readonly ((text: string) => string)[] = [
  decodePercent,
  decodeForm,
  decodeJson,
  decodeHtml,
  (text) => decodePercent(decodePercent(text)),
  (text) => decodePercent(decodeJson(text)),
];
