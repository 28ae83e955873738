import { describe, expect, it } from 'vitest';
import { isSameSite } from '../../../extension-service/src/registry/transport/same-site.js';
import { checkRealm, type ChallengeOrigin } from '../../../extension-service/src/registry/transport/token-realm.js';

describe('isSameSite', () => {
  it.each([
    ['registry.gitlab.com', 'gitlab.com', true],
    ['registry.example.com', 'gitlab.example.com', true],
    ['registry-1.docker.io', 'auth.docker.io', true],
    ['docker.elastic.co', 'docker-auth.elastic.co', true],
    ['registry.cn-hangzhou.aliyuncs.com', 'dockerauth.cn-hangzhou.aliyuncs.com', true],
    ['REGISTRY.example.com.', 'auth.EXAMPLE.com', true],
    ['a.example.co.uk', 'b.example.co.uk', true],
    ['a.co.uk', 'b.co.uk', false],
    ['a.com.br', 'b.com.br', false],
    ['a.azurecr.io', 'b.azurecr.io', false],
    ['a.azurecr.io', 'azurecr.io', false],
    ['a.eastus.geo.azurecr.io', 'a.azurecr.io', true],
    ['a.eastus.geo.azurecr.io', 'a.westeurope.geo.azurecr.io', true],
    ['a.eastus.data.azurecr.io', 'a.azurecr.io', true],
    ['a.eastus.geo.azurecr.io', 'b.eastus.geo.azurecr.io', false],
    ['a.eastus.geo.azurecr.io', 'b.azurecr.io', false],
    ['a.eastus.data.azurecr.io', 'b.eastus.data.azurecr.io', false],
    ['a.eastus.geo.azurecr.io', 'geo.azurecr.io', false],
    ['a.eastus.geo.azurecr.io', 'a.azurecr.us', false],
    ['a.eastus.geo.azurecr.io.evil.net', 'a.azurecr.io', false],
    ['1.dkr.ecr.eu-west-1.amazonaws.com', '2.dkr.ecr.eu-west-1.amazonaws.com', false],
    ['1.dkr.ecr.eu-west-1.amazonaws.com', 'x.execute-api.eu-west-1.amazonaws.com', false],
    ['one-uc.a.run.app', 'two-uc.a.run.app', false],
    ['one.eastus.cloudapp.azure.com', 'two.eastus.cloudapp.azure.com', false],
    ['one.blob.core.windows.net', 'two.blob.core.windows.net', false],
    ['one-uc.a.run.app', 'ONE-uc.a.run.app.', true],
    ['x.a.github.io', 'y.a.github.io', true],
    ['example.com', 'example.org', false],
    ['corp.good.test', 'auth9.evil.test', false],
    ['example.com', 'notexample.com', false],
    ['example.com', 'example.com.evil.net', false],
    ['10.0.0.1', '10.0.0.2', false],
    ['1.2.3.4', '9.2.3.4', false],
    ['registry', 'auth', false],
    ['core.harbor.svc', 'token.harbor.svc', true],
    ['core.harbor.svc', 'token.team-a.svc', false],
    ['core.harbor.svc.cluster.local', 'token.harbor.svc.cluster.local', true],
    ['core.harbor.svc.cluster.local', 'token.team-a.svc.cluster.local', false],
    ['', '', false],
  ])('%s and %s: %s', (left, right, expected) => {
    expect(isSameSite(left, right)).toBe(expected);
    expect(isSameSite(right, left)).toBe(expected);
  });
});

describe('checkRealm', () => {
  const origin = (host: string, more: Partial<ChallengeOrigin> = {}): ChallengeOrigin => ({
    host,
    url: new URL(`https://${host === 'docker.io' ? 'registry-1.docker.io' : host}/v2/`),
    verified: true,
    tls: { verify: true },
    redirectPolicy: { key: '', refusal: () => undefined },
    isOtherRegistry: (other) => other === 'other.example.com',
    ...more,
  });
  const check = (realm: string, from: ChallengeOrigin, withCredentials = true): URL =>
    checkRealm({ scheme: 'bearer', parameters: new Map([['realm', realm]]) }, from, withCredentials);

  it.each([
    ['docker.io', 'https://auth.docker.io/token'],
    ['registry.hub.docker.com', 'https://auth.docker.io/token'],
    ['ghcr.io', 'https://ghcr.io/token'],
    ['quay.io', 'https://quay.io/v2/auth'],
    ['registry.gitlab.com', 'https://gitlab.com/jwt/auth'],
    ['gitlab.example.com:5050', 'https://gitlab.example.com/jwt/auth'],
    ['harbor.example.com', 'https://harbor.example.com/service/token'],
    ['myteam.azurecr.io', 'https://myteam.azurecr.io/oauth2/token'],
    ['europe-docker.pkg.dev', 'https://europe-docker.pkg.dev/v2/token'],
    ['gcr.io', 'https://gcr.io/v2/token'],
    ['public.ecr.aws', 'https://public.ecr.aws/token/'],
    ['nvcr.io', 'https://nvcr.io/proxy_auth'],
    ['nvcr.io', 'https://authn.nvidia.com/token'],
    ['registry.redhat.io', 'https://sso.redhat.com/auth/realms/rhcc/protocol/redhat-docker-v2/auth'],
    ['registry.connect.redhat.com', 'https://sso.redhat.com/auth'],
    ['docker.elastic.co', 'https://docker-auth.elastic.co/auth'],
    ['registry.digitalocean.com', 'https://api.digitalocean.com/v2/registry/auth'],
    ['rg.fr-par.scw.cloud', 'https://api.scaleway.com/registry-internal/v1/tokens'],
  ])('sends the login for %s to %s', (host, realm) => {
    expect(check(realm, origin(host)).href).toBe(realm);
  });

  it.each([
    ['corp.good.test', 'https://auth9.evil.test/token'],
    ['docker.io', 'https://auth.docker.io.evil.test/token'],
    ['docker.io', 'https://auth-docker.io/token'],
    ['myteam.azurecr.io', 'https://evil.azurecr.io/oauth2/token'],
    ['10.0.0.5:5000', 'https://10.0.0.6:5000/token'],
    ['nvcr.io', 'https://authn.nvidia.com.evil.test/token'],
  ])('does not send the login for %s to %s, and names the key that permits it', (host, realm) => {
    const { host: to } = new URL(realm);
    expect(() => check(realm, origin(host))).toThrow(`list ${to} in oci.tokenHosts of that registry`);
    expect(check(realm, origin(host), false).href).toBe(realm);
    expect(check(realm, origin(host, { tokenHosts: [to.toUpperCase()] })).href).toBe(realm);
  });

  it('requires no port when tokenHosts has none', () => {
    const from = origin('r.example.com', { tokenHosts: ['auth.test'] });
    expect(check('https://auth.test:8443/token', from).host).toBe('auth.test:8443');
    expect(() =>
      check('https://auth.test/token', origin('r.example.com', { tokenHosts: ['auth.test:8443'] })),
    ).toThrow();
  });

  it.each([
    ['https://other.example.com/token', {}, /is another registry/],
    ['https://auth.example.com/token', { verified: false }, /unverified connection/],
    ['http://auth.example.com/token', {}, /is on plain HTTP/],
    ['ftp://r.example.com/token', {}, /has scheme ftp:/],
    ['not a url', {}, /"not a url" is not a URL/],
    ['', {}, /"" is not a URL/],
    ['https://[::1', {}, /is not a URL/],
    ['\u009b31m', {}, /"\\u009b31m" is not a URL/],
  ])('refuses %j with %j', (realm, more, message) => {
    expect(() => check(realm, origin('r.example.com', { tokenHosts: ['other.example.com'], ...more }))).toThrow(
      message,
    );
  });

  it('omits a user and a password in the URL', () => {
    expect(check('https://user:secret@r.example.com/token', origin('r.example.com')).href).toBe(
      'https://r.example.com/token',
    );
  });
});
