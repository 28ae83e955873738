import { InvalidPolicyOptionError } from './problem.js';

const BLOCK = /-----BEGIN CERTIFICATE-----\n((?:[A-Za-z0-9+/=]+\n)+)-----END CERTIFICATE-----/g;

/**
 * The certificates of a PEM bundle, normalized: without comments between the blocks, carriage returns and blank lines,
 * with one final line break. The result contains nothing that a policy engine could interpret as an expression. Rejects
 * anything that is not a certificate, above all private keys.
 */
export function normalizeCertificates(text: string, option: string): string {
  const unix = text
    .replaceAll('\r', '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join('\n');
  const kinds = unix.match(/-----BEGIN [A-Z0-9 ]+-----/g) ?? [];
  const unexpected = kinds.find((kind) => kind !== '-----BEGIN CERTIFICATE-----');
  if (unexpected !== undefined) {
    throw new InvalidPolicyOptionError(option, `contains ${unexpected}; a policy may contain only certificates`);
  }
  const blocks = unix.match(BLOCK) ?? [];
  if (blocks.length === 0 || blocks.length !== kinds.length) {
    throw new InvalidPolicyOptionError(
      option,
      'must be PEM text of one or more certificates (-----BEGIN CERTIFICATE-----)',
    );
  }
  return `${blocks.join('\n')}\n`;
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Base64 of ASCII text (RFC 4648), in plain ECMAScript: the core has neither Buffer nor btoa. */
export function base64Ascii(text: string): string {
  let result = '';
  for (let index = 0; index < text.length; index += 3) {
    const bytes = [0, 1, 2].map((offset) => text.charCodeAt(index + offset) || 0);
    const [a = 0, b = 0, c = 0] = bytes;
    const bits = (a << 16) | (b << 8) | c;
    const digits = [18, 12, 6, 0].map((shift) => ALPHABET.charAt((bits >> shift) & 63));
    const padding = Math.max(0, index + 3 - text.length);
    result += digits.slice(0, 4 - padding).join('') + '='.repeat(padding);
  }
  return result;
}
