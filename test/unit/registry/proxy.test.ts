import { describe, expect, it } from 'vitest';
import { proxyFromEnvironment } from '../../../extension-service/src/registry/transport/proxy.js';

const proxies = { HTTP_PROXY: 'http://proxy.example:3128', HTTPS_PROXY: 'https://user:pass@secure.example' };

describe('proxyFromEnvironment', () => {
  it('chooses by scheme, in either case of the variable', () => {
    const choose = proxyFromEnvironment({ http_proxy: 'proxy.example:3128', HTTPS_PROXY: proxies.HTTPS_PROXY });
    expect(choose(new URL('http://a.example/'))?.href).toBe('http://proxy.example:3128/');
    expect(choose(new URL('https://a.example/'))?.host).toBe('secure.example');
    expect(proxyFromEnvironment({})(new URL('https://a.example/'))).toBeUndefined();
  });

  it.each([
    ['', 'https://a.example', true],
    ['*', 'https://a.example', false],
    ['a.example', 'https://a.example', false],
    ['a.example', 'https://b.a.example', false],
    ['a.example', 'https://xa.example', true],
    ['.a.example', 'https://a.example', true],
    ['.a.example', 'https://b.a.example', false],
    ['*.a.example', 'https://b.a.example', false],
    ['A.Example', 'https://a.EXAMPLE', false],
    ['a.example:5000', 'https://a.example:5000', false],
    ['a.example:5000', 'https://a.example', true],
    ['a.example:443', 'https://a.example', false],
    ['x, 10.0.0.0/8 y', 'https://10.1.2.3:5000', false],
    ['10.0.0.0/8', 'https://11.1.2.3', true],
    ['10.0.0.0/8', 'https://[::ffff:10.1.2.3]', false],
    ['10.1.2.3', 'https://10.1.2.3', false],
    ['10.1.2.3:5000', 'https://10.1.2.3', true],
    ['10.1.2.3:5000', 'https://10.1.2.3:5000', false],
    ['fd00::/8', 'https://[fd12::1]:5000', false],
    ['fd00::/8', 'https://[2001:db8::1]', true],
    ['', 'http://127.0.0.1:5000', false],
    ['', 'http://127.9.9.9', false],
    ['', 'http://localhost:5000', false],
    ['', 'http://[::1]:5000', false],
  ])('with NO_PROXY=%j, %s goes through the proxy: %s', (NO_PROXY, url, through) => {
    expect(proxyFromEnvironment({ ...proxies, NO_PROXY })(new URL(url)) !== undefined).toBe(through);
  });

  it.each([
    ['::: secret', /^HTTP_PROXY is not a URL/],
    ['socks5://proxy:1080', /HTTP_PROXY has scheme socks5/],
    ['http://me:secret%@proxy:3128', /HTTP_PROXY has a % in its user or password/],
    ['http://secret%zz:p@proxy:3128', /HTTP_PROXY has a % in its user or password/],
  ])('refuses %j without repeating it', (HTTP_PROXY, message) => {
    expect(() => proxyFromEnvironment({ HTTP_PROXY })).toThrow(message);
    expect(() => proxyFromEnvironment({ HTTP_PROXY })).not.toThrow(/secret/);
  });
});
