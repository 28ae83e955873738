import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isLegalRepository } from '../../../extension-service/src/core/naming/target.js';
import { sourceOf, targetReference } from '../../../extension-service/src/core/naming/name.js';
import { parseReference } from '../../../extension-service/src/core/image/reference.js';
import { acrCovers } from '../../../extension-service/src/kinds/acr/hosts.js';
import { cloudOf, identityOf } from '../../../extension-service/src/kinds/acr/identity.js';
import { entraProblem, exchangeProblem } from '../../../extension-service/src/kinds/acr/problems.js';
import { RegistryError } from '../../../extension-service/src/registry/errors.js';
import { expiryOf } from '../../../extension-service/src/kinds/acr/exchange.js';
import { neededPrograms } from '../../../extension-service/src/background/programs/needed.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { parse, problemsOf } from '../config/parsing.js';

const TENANT = '11111111-2222-3333-4444-555555555555';
const CLIENT = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee';
const acr = (keys: string): string => `target: {type: acr, acr: {${keys}}}\n`;

describe('the configuration of an Azure registry', () => {
  it('accepts only a login server, or also an identity and a prefix', () => {
    expect(parse(acr('registry: contoso.azurecr.io')).config.target).toEqual({
      name: 'default',
      type: 'acr',
      acr: { registry: 'contoso.azurecr.io', prefix: '' },
    });
    const all = `registry: contoso.azurecr.io, prefix: /mirror/, tenantId: ${TENANT}, clientId: ${CLIENT.toUpperCase()}`;
    expect(parse(acr(all)).config.target?.['acr']).toEqual({
      registry: 'contoso.azurecr.io',
      prefix: 'mirror',
      tenantId: TENANT,
      clientId: CLIENT.toUpperCase(),
    });
  });

  it('infers the type from the key, and accepts it for a source', () => {
    const text =
      'target: {acr: {registry: contoso.azurecr.io}}\nsource: {registries: [{acr: {registry: b.azurecr.io}}]}\n';
    const { config, warnings } = parse(text);
    expect(warnings).toEqual([]);
    expect(config.target?.type).toBe('acr');
    expect(config.source.registries).toEqual([{ type: 'acr', acr: { registry: 'b.azurecr.io', prefix: '' } }]);
  });

  it.each<[string, string, string]>([
    [
      'no registry',
      'prefix: a',
      'target.acr.registry: required: expected the login server such as myregistry.azurecr.io',
    ],
    [
      'the name alone',
      'registry: Contoso',
      'target.acr.registry: "Contoso" is only the name of the registry: write contoso.azurecr.io',
    ],
    [
      'a URL',
      'registry: "https://contoso.azurecr.io"',
      'target.acr.registry: "https://contoso.azurecr.io" has a scheme: expected host or host:port, such as harbor.example.com:5000',
    ],
    [
      'a path',
      'registry: contoso.azurecr.io/mirror',
      'target.acr.registry: "contoso.azurecr.io/mirror" has a path: expected host or host:port, such as harbor.example.com:5000; put the path in prefix',
    ],
    [
      'a tenant by its domain',
      'registry: contoso.azurecr.io, tenantId: contoso.onmicrosoft.com',
      'target.acr.tenantId: "contoso.onmicrosoft.com" is not a GUID: expected a GUID such as 01234567-89ab-cdef-0123-456789abcdef',
    ],
    [
      'a client by its name',
      'registry: contoso.azurecr.io, clientId: mirror',
      'target.acr.clientId: "mirror" is not a GUID: expected a GUID such as 01234567-89ab-cdef-0123-456789abcdef',
    ],
  ])('refuses %s', (_, keys, expected) => {
    expect(problemsOf(acr(keys)).map((problem) => problem.replace(/^\d+:\d+: /, ''))).toEqual([expected]);
  });
});

describe('names in an Azure registry', () => {
  const target = namingTarget({ name: 'acr', type: 'acr', acr: { registry: 'contoso.azurecr.io', prefix: 'mirror' } });

  it('are valid for every source and reversible', () => {
    const part = fc.stringMatching(/^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/).filter((text) => text.length <= 60);
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), (parts) => {
        const source = parseReference(`quay.io/${parts.join('/')}:1`);
        const reference = targetReference(target, source);
        expect(isLegalRepository(target, reference.repository)).toBe(true);
        expect(reference.text.length).toBeLessThanOrEqual(256 + ':1'.length);
        const back = sourceOf(target, parseReference(reference.text));
        if (!reference.repository.includes('_short/')) expect(back).toEqual(source);
      }),
    );
  });

  it('at a regional endpoint are recognized under the global name, and stay as they are', () => {
    const acr = { registry: 'contoso.eastus2.geo.azurecr.io', prefix: 'mirror' };
    const regional = namingTarget({ name: 'acr', type: 'acr', acr });
    const nginx = parseReference('nginx:1');
    expect(targetReference(regional, nginx).text).toBe(
      'contoso.eastus2.geo.azurecr.io/mirror/docker.io/library/nginx:1',
    );
    for (const host of ['contoso.eastus2.geo.azurecr.io', 'contoso.azurecr.io'])
      expect(sourceOf(regional, parseReference(`${host}/mirror/docker.io/library/nginx:1`))).toEqual(nginx);
    expect(sourceOf(regional, parseReference('fabrikam.azurecr.io/mirror/docker.io/library/nginx:1'))).toBeUndefined();
  });

  it('treat other repositories of the registry as sources', () => {
    expect(target).toMatchObject({
      host: 'contoso.azurecr.io',
      path: 'mirror',
      wholeRegistry: false,
      separators: 'any',
    });
  });
});

describe('the login of an Azure registry', () => {
  it.each([
    ['contoso.azurecr.io', true],
    ['contoso.azurecr.io:443', true],
    ['CONTOSO.azurecr.io', true],
    ['fabrikam.azurecr.io', false],
    ['contoso.azurecr.io.example.com', false],
    ['contoso.azurecr.io:8443', false],
    ['azurecr.io', false],
    ['contoso.eastus2.geo.azurecr.io', true],
    ['contoso.WestEurope.geo.azurecr.io:443', true],
    ['fabrikam.eastus2.geo.azurecr.io', false],
    ['contoso.eastus2.data.azurecr.io', false],
    ['contoso.eastus2.geo.azurecr.us', false],
    ['contoso.eastus2.geo.azurecr.io.example.com', false],
    ['eastus2.geo.azurecr.io', false],
  ])('is sent to %s: %s', (host, expected) => {
    expect(acrCovers({ registry: 'contoso.azurecr.io', prefix: '' })(host, 'app')).toBe(expected);
    expect(acrCovers({ registry: 'contoso.eastus.geo.azurecr.io', prefix: '' })(host, 'app')).toBe(expected);
  });

  it('has the identity of the configuration, else of the environment, and names what is missing', () => {
    const env = { AZURE_TENANT_ID: 't', AZURE_CLIENT_ID: 'c', AZURE_FEDERATED_TOKEN_FILE: '/token' };
    const authority = 'https://login.microsoftonline.com/';
    const plain = { registry: 'contoso.azurecr.io', prefix: '' };
    expect(identityOf(plain, env)).toEqual({ tenantId: 't', clientId: 'c', tokenFile: '/token', authority });
    expect(identityOf({ ...plain, tenantId: TENANT, clientId: CLIENT }, env)).toMatchObject({
      tenantId: TENANT,
      clientId: CLIENT,
    });
    const sovereign = { ...env, AZURE_AUTHORITY_HOST: 'https://login.chinacloudapi.cn/' };
    expect(identityOf(plain, sovereign)).toMatchObject({ authority: 'https://login.chinacloudapi.cn/' });
    expect(identityOf(plain, { ...env, AZURE_AUTHORITY_HOST: '' })).toMatchObject({ authority });
    expect(identityOf(plain, {})).toEqual({
      missing: ['acr.tenantId or AZURE_TENANT_ID', 'acr.clientId or AZURE_CLIENT_ID', 'AZURE_FEDERATED_TOKEN_FILE'],
    });
  });

  it.each([
    ['contoso.azurecr.io', 'login.microsoftonline.com', 'https://containerregistry.azure.net'],
    ['contoso.eastus2.geo.azurecr.io', 'login.microsoftonline.com', 'https://containerregistry.azure.net'],
    ['contoso.azurecr.cn', 'login.chinacloudapi.cn', 'https://management.chinacloudapi.cn'],
    ['contoso.azurecr.cn:443', 'login.chinacloudapi.cn', 'https://management.chinacloudapi.cn'],
    ['contoso.azurecr.us', 'login.microsoftonline.us', 'https://management.usgovcloudapi.net'],
    ['azurecr.us.example.com', 'login.microsoftonline.com', 'https://containerregistry.azure.net'],
  ])('requests a token for %s at %s, with the audience %s', (registry, authority, audience) => {
    expect(cloudOf(registry).audience).toBe(audience);
    const env = { AZURE_TENANT_ID: 't', AZURE_CLIENT_ID: 'c', AZURE_FEDERATED_TOKEN_FILE: '/token' };
    expect(identityOf({ registry, prefix: '' }, env)).toMatchObject({ authority: `https://${authority}/` });
  });

  const identity = { tenantId: TENANT, clientId: CLIENT, tokenFile: '/token' };

  it('names the login host of a cloud if the tenant is unknown to another one', () => {
    const error = new Error(`AADSTS90002: Tenant '${TENANT}' not found.`);
    const at = (authority: string): string =>
      entraProblem('contoso.azurecr.cn', { ...identity, authority }, error).message;
    expect(at('https://login.microsoftonline.com/')).toContain(
      'the cloud of contoso.azurecr.cn has the AZURE_AUTHORITY_HOST https://login.chinacloudapi.cn/',
    );
    expect(at('https://login.chinacloudapi.cn')).not.toContain('AZURE_AUTHORITY_HOST');
  });

  it.each([
    ['AADSTS500011: The resource principal named https://x was not found in the tenant', 'must be of the cloud'],
    ['AADSTS7000229: The client application is missing service principal in the tenant', 'no service principal'],
    ['AADSTS70021: No matching federated identity record found', 'add a federated credential'],
  ])('names the setting to change: %s', (text, advice) => {
    const authority = 'https://login.microsoftonline.com/';
    const { message, kind, advised } = entraProblem('contoso.azurecr.io', { ...identity, authority }, new Error(text));
    expect({ kind, advised }).toEqual({ kind: 'unauthorized', advised: true });
    expect(message).toContain(advice);
  });

  it.each([
    ['AADSTS90033: A transient error has occurred. Please try again.', 'server'],
    ['AADSTS90061: Request to External OIDC endpoint failed.', 'server'],
    ['AADSTS50166: Request to External OIDC endpoint failed.', 'server'],
    ['AADSTS90055: The request was throttled.', 'throttled'],
    ['AADSTS50196: The server terminated an operation because it encountered a client request loop.', 'throttled'],
  ])('is retried after a failure of Entra that passes: %s', (text, expected) => {
    const authority = 'https://login.microsoftonline.com/';
    const { kind, retryable } = entraProblem('contoso.azurecr.io', { ...identity, authority }, new Error(text));
    expect({ kind, retryable }).toEqual({ kind: expected, retryable: true });
  });

  it.each([
    ['DENIED', "client with IP '192.0.2.1' is not allowed access. Refer https://aka.ms/acr/firewall", 'network rules'],
    ['UNAUTHORIZED', 'authentication required', 'AcrPush'],
  ])('distinguishes why the registry answers 403 %s', (code, text, advice) => {
    const refused = new RegistryError('refused', {
      ...{ kind: 'forbidden', host: 'contoso.azurecr.io', status: 403 },
      diagnostics: [{ code, message: text }],
    });
    const { message } = exchangeProblem(refused, { ...identity, authority: 'https://login.microsoftonline.com/' });
    expect(message.includes('network rules')).toBe(advice === 'network rules');
    expect(message.includes('AcrPush')).toBe(advice === 'AcrPush');
  });

  it('expires with its token, whatever the token contains', () => {
    const token = (payload: string): string => `x.${Buffer.from(payload).toString('base64url')}.y`;
    expect(expiryOf(token('{"exp":1700000000}'))).toBe(1_700_000_000_000);
    for (const odd of ['', 'x', 'x.y.z', token('{"exp":"soon"}'), token('{"exp":-1}'), token('null'), token('{}')]) {
      expect(expiryOf(odd)).toBeUndefined();
    }
  });
});

it("loads Azure's program into the background worker only when an Azure registry is configured", () => {
  const programs = { kubernetes: 'k', acr: 'a', aws: 'w' };
  const needs = (text: string): string[] => Object.keys(neededPrograms(parse(text).config, programs));
  expect(needs(acr('registry: contoso.azurecr.io'))).toEqual(['kubernetes', 'acr']);
  expect(needs('target: {oci: {registry: contoso.azurecr.io}}\n')).toEqual(['kubernetes']);
});
