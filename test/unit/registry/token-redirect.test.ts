import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { ownRedirect } from '../../../extension-service/src/registry/transport/token-redirect.js';

const answer = (statusCode: number, location?: string): IncomingMessage =>
  ({ statusCode, headers: location === undefined ? {} : { location } }) as unknown as IncomingMessage;
const follow = (from: string, location: string): string | undefined =>
  ownRedirect(answer(302, location), 'GET', new URL(from))?.href;

describe('ownRedirect', () => {
  it.each([
    ['https://r.example/token?scope=a', '/token/?scope=a', 'https://r.example/token/?scope=a'],
    ['https://r.example/token', 'https://r.example:443/login', 'https://r.example/login'],
    ['https://r.example/token', 'http://r.example/login', 'https://r.example/login'],
    ['http://r.example/token', 'https://r.example/token', 'https://r.example/token'],
    ['http://r.example:5000/token', 'https://R.example/token', 'https://r.example/token'],
    ['https://r.example/token', 'https://user:pw@r.example/login', 'https://r.example/login'],
    ['https://r.example/token', 'https://r.example:8443/login', undefined],
    ['http://r.example/token', 'https://r.example:8443/login', undefined],
    ['https://r.example/token', 'https://other.example/token', undefined],
    ['https://r.example/token', 'https://r.example.evil.test/token', undefined],
    ['https://r.example/token', '//other.example/token', undefined],
    ['https://r.example/token', 'http://r.example:80/x:y:z', 'https://r.example/x:y:z'],
    ['https://r.example/token', 'http://r.example:8080/token', undefined],
    ['https://r.example/token', 'file:///etc/passwd', undefined],
    ['https://r.example/token', 'http://[', undefined],
  ])('from %s to %s: %s', (from, location, expected) => {
    expect(follow(from, location)).toBe(expected);
  });

  it('is undefined for other answers, and for an answer without a Location', () => {
    const url = new URL('https://r.example/token');
    expect(ownRedirect(answer(200, '/x'), 'GET', url)).toBeUndefined();
    expect(ownRedirect(answer(300, '/x'), 'GET', url)).toBeUndefined();
    expect(ownRedirect(answer(302), 'GET', url)).toBeUndefined();
    expect(ownRedirect(answer(302, '/x'), 'POST', url)).toBeUndefined();
    expect(ownRedirect(answer(307, '/x'), 'POST', url)?.href).toBe('https://r.example/x');
  });
});
