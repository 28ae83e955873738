import { rootCertificates } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { managedPoliciesProblem } from '../../../extension-service/src/kubernetes/managed-policies/check.js';
import { ownerOf } from '../../../extension-service/src/kubernetes/managed-policies/owner.js';
import { wantedPolicies } from '../../../extension-service/src/kubernetes/managed-policies/wanted-policies.js';
import { parse, target } from '../config/parsing.js';

const CA = rootCertificates[0] ?? '';
const config = (policies: string, more = '') => parse(`${target}policies: {manage: true, ${policies}}\n${more}`).config;
const wanted = (policies: string, more = '') =>
  wantedPolicies(config(policies, more), { namespace: 'infra', caBundle: CA });

describe('the policies that the service manages', () => {
  it.each<readonly [string, string, readonly string[], string]>([
    ['engine: kyverno', '', ['MutatingPolicy image-swapper'], 'http://image-swapper.infra.svc:8081/v1/kyverno'],
    [
      'engine: kyverno-clusterpolicy',
      '',
      ['ClusterPolicy image-swapper'],
      'https://image-swapper.infra.svc:8443/v1/kyverno',
    ],
    [
      'engine: gatekeeper, caFile: /ca.pem, name: eu',
      '',
      ['Provider eu', 'Assign zz-eu-containers', 'Assign zz-eu-initcontainers', 'Assign zz-eu-volumes'],
      'https://image-swapper.infra.svc:8443/v1/gatekeeper/filters-',
    ],
    [
      'engine: webhook',
      '',
      ['MutatingWebhookConfiguration image-swapper'],
      '"service":{"name":"image-swapper","namespace":"infra","port":8443,"path":"/webhook/',
    ],
    [
      'engine: webhook, url: "https://swap.example.com/x"',
      '',
      ['MutatingWebhookConfiguration image-swapper'],
      'https://swap.example.com/x/webhook',
    ],
  ])('under %s', (policies, more, names, address) => {
    const objects = wanted(policies, more);
    expect(objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual(names);
    expect(JSON.stringify(objects)).toContain(address);
    const { labels, annotations } = ownerOf(config(policies), 'infra');
    for (const { metadata } of objects) {
      expect(metadata.labels).toMatchObject(labels);
      expect(metadata.annotations).toMatchObject(annotations);
    }
    // The namespace is that of the service, even when the address names a different one.
    expect(JSON.stringify(objects.at(-1))).toContain('"infra"');
  });

  it.each([
    ['kyverno-clusterpolicy', '', CA.split('\n')[1] ?? ''],
    [
      'kyverno-clusterpolicy',
      'tls: {mode: selfSigned, dnsNames: [a.svc]}\n',
      '{"name":"image-swapper-ca","namespace":"infra"}',
    ],
    [
      'webhook',
      'tls: {mode: selfSigned, dnsNames: [a.svc]}\n',
      `"caBundle":"${Buffer.from(CA).toString('base64').slice(0, 40)}`,
    ],
  ])('contain the CA certificate under %s, %j', (engine, more, text) => {
    expect(JSON.stringify(wanted(`engine: ${engine}`, more))).toContain(text);
  });

  it('exclude the configured namespaces', () => {
    expect(JSON.stringify(wanted('engine: kyverno, excludedNamespaces: [quiet]'))).toContain('"quiet"');
  });

  it('are absent unless they are configured', () => {
    const { config: off } = parse(`${target}policies: {engine: webhook}\n`);
    expect(wantedPolicies(off, { namespace: 'infra', caBundle: undefined })).toEqual([]);
    expect(managedPoliciesProblem(off)).toBeUndefined();
  });
});

describe('the owner of managed policies', () => {
  const labels = (lease: { name: string; namespace?: string }, namespace: string) =>
    ownerOf({ lease }, namespace).labels;

  it('is the Lease, wherever the service runs', () => {
    const own = labels({ name: 'image-swapper' }, 'infra');
    expect(labels({ name: 'image-swapper', namespace: 'infra' }, 'elsewhere')).toEqual(own);
    expect(labels({ name: 'other' }, 'infra')).not.toEqual(own);
    expect(labels({ name: 'image-swapper' }, 'infra-2')).not.toEqual(own);
  });

  it('is named by valid labels, however long its name is', () => {
    const { labels: made } = ownerOf({ lease: { name: 'a'.repeat(250) } }, 'b'.repeat(63));
    for (const value of Object.values(made)) expect(value).toMatch(/^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$/);
    expect(made).toEqual({
      'app.kubernetes.io/managed-by': 'image-swapper',
      'image-swapper.io/instance': expect.stringMatching(/^[0-9a-f]{16}$/) as unknown,
    });
  });
});
