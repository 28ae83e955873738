import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import type { Server } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PolicyObject } from '../../../extension-service/src/core/policies/objects.js';
import { wantedPolicies } from '../../../extension-service/src/kubernetes/managed-policies/wanted-policies.js';
import { startAnsweringApi } from '../../fakes/answering-api.js';
import type { AnsweringApi } from '../../fakes/answering-api.js';
import { makeCertificates } from '../../fakes/certificates.js';
import type { Certificates } from '../../fakes/certificates.js';
import { runHere } from '../../fakes/program.js';
import { parse } from '../../unit/config/parsing.js';

/** `check` of the engine mutatingadmissionpolicy with `policies.undecidable: webhook`. */

const GROUP = '/apis/admissionregistration.k8s.io/v1';
const KINDS = {
  MutatingAdmissionPolicy: 'mutatingadmissionpolicies',
  MutatingAdmissionPolicyBinding: 'mutatingadmissionpolicybindings',
  MutatingWebhookConfiguration: 'mutatingwebhookconfigurations',
} as const;
const WEBHOOK = 'MutatingWebhookConfiguration image-swapper';
const PLAYGROUND = "obj.metadata.namespace == 'playground' && obj.spec.containers[0].args[0] == '--debug'";
const PROXY = '/api/v1/namespaces/image-swapper/services/https:image-swapper:8443/proxy';
const CONFIG_MAP = '/api/v1/namespaces/image-swapper/configmaps/image-swapper-ca';

let api: AnsweringApi;
let service: Server;
let certificates: Certificates;
/** The answers of the API server other than lists of policies: objects or statuses, by path. */
let answers: Record<string, object | number>;
let live: readonly object[];
let served: readonly string[];

beforeAll(async () => {
  certificates = await makeCertificates({ hosts: ['127.0.0.1'] });
  service = createServer({ cert: certificates.cert, key: certificates.key }).listen(0, '127.0.0.1');
  await once(service, 'listening');
  api = await startAnsweringApi('default', ({ path }) => {
    if (path === GROUP) return { kind: 'APIResourceList', resources: served.map((name) => ({ name })) };
    const plural = Object.entries(KINDS).find(([, name]) => path === `${GROUP}/${name}`);
    if (plural !== undefined && served.includes(plural[1]))
      return { kind: 'List', items: live.filter((object) => (object as PolicyObject).kind === plural[0]) };
    return answers[decodeURIComponent(path)] ?? 404;
  });
});
afterAll(async () => {
  service.close();
  await api.stop();
});
beforeEach(() => {
  answers = {};
  live = [];
  served = Object.values(KINDS);
});

/** A configuration whose filter only the service can decide. */
function configuration(url?: string, filter = PLAYGROUND, engine = 'mutatingadmissionpolicy, undecidable: webhook') {
  return [
    // No registry listens on this port, because these tests do not check registries.
    'target: {type: oci, oci: {registry: "127.0.0.1:1", insecure: true}}',
    'tls: {mode: selfSigned, dnsNames: [image-swapper.image-swapper.svc]}',
    `policies: {manage: true, engine: ${engine}${url === undefined ? '' : `, url: "${url}"`}}`,
    `source: {filters: [{jmespath: ${JSON.stringify(filter)}}]}`,
    '',
  ].join('\n');
}

/** The objects that the leader writes for a configuration. */
function written(text: string, caBundle: string | undefined = certificates.ca): readonly PolicyObject[] {
  return wantedPolicies(parse(text).config, { namespace: 'image-swapper', caBundle }).map((object) => ({
    ...object,
    metadata: { ...object.metadata, uid: 'u', resourceVersion: '1' },
  }));
}

interface Row {
  readonly policy: string;
  readonly ok: boolean;
  readonly isUnknown?: true;
  readonly message: string;
}

async function checked(text: string, flags: readonly string[] = ['--online', '--output', 'json']) {
  await writeFile(join(api.folder, 'image-swapper.yaml'), text);
  const env = { HOME: api.folder, KUBECONFIG: api.kubeconfig };
  return runHere(['check', ...flags, '--config', 'image-swapper.yaml'], { env, cwd: api.folder });
}

async function rows(text: string): Promise<readonly Row[]> {
  const { stdout, stderr } = await checked(text);
  expect(stderr).toBe('');
  return (JSON.parse(stdout) as { readonly cluster: readonly Row[] }).cluster;
}

/** The last row about the webhook, as `state message`. */
async function webhookRow(text: string): Promise<string> {
  const last = (await rows(text)).findLast(({ policy }) => policy === WEBHOOK);
  if (last === undefined) return '';
  return `${last.isUnknown === true ? 'unknown' : last.ok ? 'ok' : 'bad'} ${last.message}`;
}

const addressOf = (): string => `https://127.0.0.1:${(service.address() as AddressInfo).port}`;

describe('check without a cluster', () => {
  it('shows which images the service decides, and the hash of the policies', async () => {
    const { stdout, code } = await checked(configuration(), []);
    expect(stdout).toMatch(/\(Gatekeeper: \S+; MutatingAdmissionPolicy: [\w-]+\)\n/);
    expect(stdout).toMatch(/the service decides the images that source\.filters\[0\] may concern: .*"playground"/);
    expect(stdout).not.toContain('calls the service');
    expect(code).toBe(0);
  });

  it('warns of an expression of which the API server can decide nothing', async () => {
    const { stdout } = await checked(configuration(undefined, 'length(obj.spec.containers) == `1`'), []);
    expect(stdout).toContain('warning: source.filters[0]: the API server can decide no part of "length(');
  });

  it('names no such expression when the API server decides everything, or another engine asks the service', async () => {
    const decided = await checked(configuration(undefined, "obj.metadata.namespace == 'a'"), []);
    const called = await checked(configuration(undefined, PLAYGROUND, 'webhook'), []);
    for (const { stdout } of [decided, called]) expect(stdout).not.toContain('the service decides');
    expect(called.stdout).not.toContain('MutatingAdmissionPolicy');
  });
});

describe('check --online', () => {
  it('finds no problem with the objects that the leader writes, and a service with a certificate of their CA', async () => {
    const text = configuration(addressOf());
    live = written(text);
    const all = await rows(text);
    expect(all.map(({ ok, isUnknown }) => [ok, isUnknown])).toEqual(all.map(() => [true, undefined]));
    expect(all.map(({ policy }) => policy).sort()).toEqual([
      'MutatingAdmissionPolicy image-swapper',
      'MutatingAdmissionPolicy image-swapper-recent',
      'MutatingAdmissionPolicyBinding image-swapper',
      'MutatingAdmissionPolicyBinding image-swapper-recent',
      WEBHOOK,
      WEBHOOK,
    ]);
    expect(await webhookRow(text)).toBe(
      `ok calls ${addressOf().slice('https://'.length)}, whose certificate it accepts`,
    );
  });

  it('reports that the cluster is too old, with its version and another engine', async () => {
    served = [KINDS.MutatingWebhookConfiguration];
    answers = { '/version': { gitVersion: 'v1.35.4' } };
    expect(await rows(configuration())).toContainEqual({
      policy: 'MutatingAdmissionPolicy',
      ok: false,
      message:
        'the cluster (Kubernetes v1.35.4) does not have admissionregistration.k8s.io/v1: it needs Kubernetes 1.36 or ' +
        'newer, or, with an older one, policies.engine=webhook',
    });
  });

  it.each([
    ['MutatingWebhookConfiguration', [WEBHOOK]],
    [
      'MutatingAdmissionPolicyBinding',
      ['MutatingAdmissionPolicyBinding image-swapper', 'MutatingAdmissionPolicyBinding image-swapper-recent'],
    ],
  ])('reports a missing %s', async (kind, missing) => {
    const text = configuration(addressOf());
    live = written(text).filter((object) => object.kind !== kind);
    const found = (await rows(text)).filter(({ ok }) => !ok);
    expect(found.map(({ policy }) => policy)).toEqual(missing);
    for (const { message } of found)
      expect(message).toBe("is missing, and the other policies need it: see the leader's log");
  });

  it('reports no missing webhook when the API server decides everything, and no missing binding in a dry run', async () => {
    const text = `${configuration(undefined, "obj.metadata.namespace == 'a'")}dryRun: true\n`;
    live = written(text);
    expect(live).toHaveLength(2);
    expect((await rows(text)).filter(({ ok }) => !ok)).toEqual([]);
  });

  it('reports a CA certificate that is not the one of the service, no longer valid, missing, or no certificate', async () => {
    const text = configuration(addressOf());
    const [other, expired] = await Promise.all([
      makeCertificates({ hosts: ['127.0.0.1'] }),
      makeCertificates({ hosts: ['127.0.0.1'], expired: true }),
    ]);
    live = written(text, other.ca);
    expect(await webhookRow(text)).toMatch(/^bad calls 127\.0\.0\.1:\d+, whose certificate it does not accept: /);
    live = written(text, expired.cert);
    expect(await webhookRow(text)).toMatch(/^bad has no valid CA certificate: those of its caBundle are valid until /);
    const withBundle = (caBundle: string | undefined) =>
      written(text).map((object) =>
        object.kind === 'MutatingWebhookConfiguration'
          ? {
              ...object,
              webhooks: object.webhooks.map((one) => ({ ...one, clientConfig: { ...one.clientConfig, caBundle } })),
            }
          : object,
      );
    live = withBundle('bm90IGEgY2VydGlmaWNhdGU=');
    expect(await webhookRow(text)).toMatch(/^bad its caBundle contains no certificates: /);
    live = withBundle(undefined);
    expect(await rows(text)).toContainEqual(expect.objectContaining({ policy: WEBHOOK, isUnknown: true }));
  });

  it.each(['', 'http://127.0.0.1:1/', 'not a URL'])(
    'reports the address %j, which no webhook can have',
    async (url) => {
      const text = configuration(addressOf());
      live = written(text).map((object) =>
        object.kind === 'MutatingWebhookConfiguration'
          ? { ...object, webhooks: object.webhooks.map((one) => ({ ...one, clientConfig: { url } })) }
          : object,
      );
      expect(await webhookRow(text)).toBe(`bad does not call an https address: ${url}`);
    },
  );

  it('does not know whether the API server reaches an address that cannot be reached from here', async () => {
    const text = configuration('https://127.0.0.1:1');
    live = written(text);
    expect(await webhookRow(text)).toMatch(
      /^unknown calls 127\.0\.0\.1:1, which cannot be reached from here: .*ECONNREFUSED/,
    );
    expect((await checked(text, ['--online'])).stdout).toMatch(/unknown +MutatingWebhookConfiguration image-swapper/);
  });

  it.each<[string, object | number, RegExp]>([
    ['answers', {}, /^ok calls Service image-swapper\/image-swapper, which the API server reaches$/],
    ['has no such page', 404, /^ok /],
    ['asks for a login', 401, /^ok /],
    ['does not exist', { status: 404, message: 'services "image-swapper" not found' }, /^bad .*not found$/],
    ['has no ready Pod', 503, /^bad calls Service image-swapper\/image-swapper, which the API server does not reach: /],
    ['may not be asked for', 403, /^unknown .*because you may not get services\/proxy$/],
  ])('asks the API server for a Service that %s', async (_what, answer, expected) => {
    const text = configuration();
    live = written(text);
    answers = { [PROXY]: answer };
    expect(await webhookRow(text)).toMatch(expected);
  });

  it('compares the CA certificate with the one that the service publishes', async () => {
    const text = configuration();
    const other = await makeCertificates({ hosts: ['127.0.0.1'] });
    live = written(text);
    answers = { [PROXY]: {}, [CONFIG_MAP]: { data: { 'ca.crt': other.ca } } };
    expect(await webhookRow(text)).toMatch(
      /^bad has another CA certificate than the service: copy ca\.crt of ConfigMap image-swapper\/image-swapper-ca /,
    );
    // While the service changes its CA, it publishes both.
    answers = { [PROXY]: {}, [CONFIG_MAP]: { data: { 'ca.crt': `${other.ca}\n${certificates.ca}` } } };
    expect(await webhookRow(text)).toMatch(/^ok /);
  });
});
