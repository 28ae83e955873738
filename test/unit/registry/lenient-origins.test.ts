import { describe, expect, it } from 'vitest';
import { LenientOrigins } from '../../../extension-service/src/registry/transport/lenient-origins.js';

const failure = (code: string): Error => Object.assign(new Error(code), { code });
const url = new URL('https://r.example/v2/a');

describe('LenientOrigins', () => {
  it.each([
    ['HPE_INVALID_TRANSFER_ENCODING', true],
    ['HPE_INVALID_CONTENT_LENGTH', true],
    ['HPE_INVALID_HEADER_TOKEN', true],
    ['HPE_CR_EXPECTED', true],
    ['HPE_HEADER_OVERFLOW', false],
    ['HPE_UNEXPECTED_CONTENT_LENGTH', false],
    ['ECONNRESET', false],
  ])('remembers an origin after %s: %s', (code, remembered) => {
    const origins = new LenientOrigins();
    expect(origins.add(url, failure(code))).toBe(remembered);
    expect(origins.has(new URL('https://r.example/other'))).toBe(remembered);
    expect(origins.has(new URL('https://r.example:8443/v2/a'))).toBe(false);
  });

  it('forgets an origin after ten minutes', () => {
    let now = 0;
    const origins = new LenientOrigins(() => now);
    origins.add(url, failure('HPE_CR_EXPECTED'));
    now = 599_999;
    expect(origins.has(url)).toBe(true);
    now = 600_000;
    expect(origins.has(url)).toBe(false);
  });
});
