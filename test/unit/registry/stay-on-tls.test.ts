import { describe, expect, it } from 'vitest';
import { onTls } from '../../../extension-service/src/registry/transport/stay-on-tls.js';

describe('onTls', () => {
  it.each([
    ['http://r.example/a?b=c', 'https://r.example/v2/', 'https://r.example/a?b=c'],
    ['http://r.example/a', 'https://r.example:5000/v2/', 'https://r.example:5000/a'],
    ['http://r.example:80/a', 'https://r.example/v2/', 'https://r.example/a'],
  ])('%s from %s is %s', (named, from, secure) => {
    expect(onTls(new URL(named), new URL(from))?.href).toBe(secure);
  });

  it.each([
    ['another name', 'http://s.example/a', 'https://r.example/v2/'],
    ['another port', 'http://r.example:8080/a', 'https://r.example/v2/'],
    ['a registry on plain HTTP', 'http://r.example/a', 'http://r.example/v2/'],
    ['an address on https', 'https://r.example/a', 'https://r.example/v2/'],
    ['another scheme', 'ftp://r.example/a', 'https://r.example/v2/'],
  ])('does not change %s', (_, named, from) => {
    expect(onTls(new URL(named), new URL(from))).toBeUndefined();
  });
});
