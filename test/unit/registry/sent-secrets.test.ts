import fc from 'fast-check';
import { anyCharacter } from '../characters.js';
import { describe, expect, it } from 'vitest';
import { RegistryError } from '../../../extension-service/src/registry/errors.js';
import {
  forgetSecrets,
  redactSecrets,
  rememberAuthorization,
  rememberSecret,
} from '../../../extension-service/src/registry/sent-secrets.js';
import { parseDiagnostics } from '../../../extension-service/src/registry/transport/diagnostics.js';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const percent = (text: string): string =>
  [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

/** Encodings in which a registry may return a secret. */
const ENCODINGS: Readonly<Record<string, (secret: string) => string>> = {
  'as it is': (secret) => secret,
  base64,
  'base64 without padding': (secret) => base64(secret).replace(/=+$/, ''),
  base64url: (secret) => Buffer.from(secret).toString('base64url'),
  'percent-encoded base64': (secret) => encodeURIComponent(base64(secret)),
  'percent-encoded': (secret) => encodeURIComponent(secret),
  'percent-encoded in lower case': (secret) =>
    encodeURIComponent(secret).replace(/%../g, (escape) => escape.toLowerCase()),
  'every byte percent-encoded': percent,
  'as a form': (secret) => new URLSearchParams({ x: secret }).toString().slice(2),
  'as JSON': (secret) => JSON.stringify(secret).slice(1, -1),
  'as JSON of Go': (secret) =>
    JSON.stringify(secret)
      .slice(1, -1)
      .replace(/[<>&]/g, (found) => `\\u00${found.charCodeAt(0).toString(16)}`),
  'as HTML': (secret) =>
    secret.replace(
      /[&<>"']/g,
      (found) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[found] ?? '&#39;',
    ),
  hexadecimal: (secret) => Buffer.from(secret).toString('hex'),
};

const TOKEN = 'A0aB1bC2cD3dE4eF5fGhIjKlMnOpQrStUvWxYz-_.~+/=';
const secrets = fc.oneof(
  fc.string({ minLength: 8, maxLength: 60 }),
  fc.string({ unit: anyCharacter, minLength: 8, maxLength: 30 }),
  fc.string({ unit: fc.constantFrom(...TOKEN), minLength: 20, maxLength: 900 }),
);
/** Whether the text contains the encoded secret or its first 24 characters. */
const shows = (text: string, written: string): boolean => text.includes(written) || text.includes(written.slice(0, 24));

describe('the secrets of a login', () => {
  it.each(Object.keys(ENCODINGS))('are redacted %s, alone and after a user name', (name) => {
    const encode = ENCODINGS[name] ?? ((secret) => secret);
    fc.assert(
      fc.property(secrets, fc.constantFrom('', 'user:', 'ab:', 'abc:', 'Basic '), (secret, before) => {
        // A secret of an earlier run may contain the quotation mark before this one.
        forgetSecrets();
        rememberSecret(secret);
        const written = encode(`${before}${secret}`);
        const text = redactSecrets(`no login for "${written}", sorry`);
        expect(text).toContain('***');
        // Only the encoding of the secret alone is checked, because a user name changes the base64 text next to it.
        const own = before === '' ? written : encode(secret);
        expect(shows(text, own)).toBe(false);
        expect(text.startsWith('no login for "')).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('are recorded from Authorization headers: the password, its base64 and tokens', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), secrets, (user, password) => {
        const pair = base64(`${user.replaceAll(':', '')}:${password}`);
        rememberAuthorization(`Basic ${pair}`);
        rememberAuthorization(`Bearer token-${pair}`);
        const text = redactSecrets(`<${password}> <${pair}> <token-${pair}> <${base64(`Basic ${pair}`)}>`);
        expect(text).not.toContain(pair);
        expect(text).not.toContain(base64(pair).slice(4, 20));
        expect(shows(text, password)).toBe(false);
      }),
    );
  });

  it('are redacted without changing other text', () => {
    rememberSecret('hush1');
    expect(redactSecrets('pull hush1s, hush1; xhush1')).toBe('pull hush1s, ***; xhush1');
    expect(redactSecrets('HTTP 401 UNAUTHORIZED: no such user')).toBe('HTTP 401 UNAUTHORIZED: no such user');
  });

  it('are redacted in errors and their parts, whatever they quote', () => {
    rememberAuthorization(`Basic ${base64('tenant-a:CONFPW77')}`);
    const [said] = parseDiagnostics(
      JSON.stringify({ errors: [{ code: 'CONFPW77', message: 'got tenant-a:CONFPW77' }] }),
    );
    expect(said).toEqual({ code: '***', message: 'got tenant-a:***' });
    const error = new RegistryError('the token realm "https://x/CONFPW77" is not a URL', {
      kind: 'invalid',
      host: 'r.example',
      request: 'GET https://r.example/v2/CONFPW77',
      diagnostics: [{ code: 'X', message: 'CONFPW77' }],
    });
    expect(`${error.message} ${error.stack ?? ''} ${JSON.stringify(error)}`).not.toContain('CONFPW77');
    expect(error.message).toBe('GET https://r.example/v2/***: the token realm "https://x/***" is not a URL');
  });

  it('are redacted before a long message is shortened', () => {
    rememberSecret('a-password-at-the-cut');
    const message = `${'x'.repeat(290)} a-password-at-the-cut`;
    expect(parseDiagnostics(JSON.stringify({ errors: [{ code: 'X', message }] }))[0]?.message).toMatch(/^x+ \*\*\*$/);
  });
});
