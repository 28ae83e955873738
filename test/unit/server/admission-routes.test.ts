import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { compileRules } from '../../../extension-service/src/core/decide/rules.js';
import { policyHashes } from '../../../extension-service/src/core/engines/config-hashes.js';
import { gatekeeperRules } from '../../../extension-service/src/server/gatekeeper-rules.js';
import type { AdmissionRequest, AdmissionResult } from '../../../extension-service/src/server/admission.js';
import { PolicyWatch } from '../../../extension-service/src/server/policy-watch.js';
import { admissionRoutes } from '../../../extension-service/src/server/routes.js';
import { createMetrics } from '../../../extension-service/src/telemetry/metrics.js';
import { parse, target } from '../config/parsing.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';

const KEYS = JSON.stringify({
  apiVersion: 'externaldata.gatekeeper.sh/v1beta1',
  kind: 'ProviderRequest',
  request: { keys: ['nginx', 'busybox'] },
});
const REVIEW = JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: { uid: 'u' } });

it('shows calls of Kyverno, and no others, to the watch of the table', async () => {
  const seen: string[] = [];
  const { ask } = routes("container.name == 'a'", [], ({ namespace }) => void seen.push(namespace));
  const object = { metadata: { name: 'web' }, spec: { containers: [{ name: 'a', image: 'nginx:1' }] } };
  const request = {
    uid: 'u',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    operation: 'CREATE',
    namespace: 'team-a',
    object,
  };
  await ask('/v1/kyverno', JSON.stringify({ request }));
  await ask('/webhook', JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request }));
  expect(seen).toEqual(['team-a']);
});

/** Routes of a configuration with this filter, with their log lines and metrics. */
function routes(
  filter: string,
  outcomes: AdmissionResult['containers'] = [],
  onCall: (request: AdmissionRequest) => void = () => undefined,
) {
  const { config } = parse(`${target}source:\n  filters:\n    - jmespath: ${JSON.stringify(filter)}\n`);
  const metrics = createMetrics();
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
  const route = admissionRoutes({
    admission: {
      review: () => Promise.resolve({ containers: outcomes, swaps: [] }),
      reviewImages: () => Promise.resolve([]),
    },
    gatekeeperRules: gatekeeperRules(config, compileRules(config, namingTarget)),
    policies: new PolicyWatch(
      () => policyHashes(config, namingTarget),
      metrics,
      log,
      () => false,
    ),
    unreadTable: { observe: onCall },
    log,
    metrics,
  });
  const ask = async (path: string, body: string): Promise<string> => {
    const found = route(path);
    if (found === undefined) throw new Error(`no route ${path}`);
    return (await found.route(body, { isTrusted: true })).body;
  };
  return { route, ask, metrics, lines, hashes: policyHashes(config, namingTarget) };
}

describe('Gatekeeper requests with filters that read the Pod', () => {
  it('keep the images, are counted, and are reported once with the required profile', async () => {
    const { ask, metrics, lines, hashes } = routes("container.name == 'a'");
    for (const path of ['/v1/gatekeeper', '/v1/gatekeeper', '/v1/gatekeeper/filters-old']) {
      expect(JSON.parse(await ask(path, KEYS))).toMatchObject({
        response: {
          items: [
            { key: 'nginx', value: 'nginx' },
            { key: 'busybox', value: 'busybox' },
          ],
        },
      });
    }
    expect((await metrics.containers.get()).values).toEqual([
      { labels: { target: '', outcome: 'pod-not-seen' }, value: 6 },
    ]);
    const told = lines.filter((line) => line.includes('source.filters or targets[].match read the Pod'));
    expect(told).toHaveLength(2);
    expect(told[0]).toContain(`filters-${hashes.gatekeeper}`);
  });
});

describe('a webhook configuration', () => {
  it('may say in its path for which configuration it was rendered', async () => {
    const { ask, route, metrics, lines, hashes } = routes("container.image == 'a'");
    for (const path of ['/webhook', `/webhook/${hashes.webhook}`, '/webhook/0123456789ab', '/webhook/0123456789ab']) {
      expect(route(path)?.name).toBe('webhook');
      expect(JSON.parse(await ask(path, REVIEW))).toMatchObject({ response: { allowed: true } });
    }
    expect((await metrics.policyMismatches.get()).values).toEqual([{ labels: { route: 'webhook' }, value: 2 }]);
    expect(lines.filter((line) => line.includes('rendered for another configuration'))).toHaveLength(1);
  });

  it.each(['/webhooks', '/v1/kyverno/x', '/v1/gatekeepers', '/'])('%s is not a route', (path) => {
    expect(routes("container.image == 'a'").route(path)).toBeUndefined();
  });
});

describe('log lines about admissions', () => {
  const container = { list: 'containers', index: 0, name: 'app', image: 'corp.test/app:1', object: {} } as const;
  const noAccess = { state: 'refused', message: 'corp.test/app:1: the Pod cannot read it at its source' } as const;
  const kept: AdmissionResult['containers'][number] = {
    decision: { action: 'keep', container, reason: 'no-target', detail: '', warnings: [] },
    ...{ outcome: 'kept', image: container.image, noAccess },
  };
  const review = (namespace: string): string =>
    JSON.stringify({
      ...{ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' },
      request: {
        uid: 'u',
        operation: 'CREATE',
        namespace,
        object: { spec: { containers: [{ name: 'app', image: 'a' }] } },
      },
    });

  it('explain why source.accessCheck keeps an image', async () => {
    const { ask, lines } = routes("container.image == 'a'", [kept]);
    await ask('/webhook', review('team-a'));
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { msg: 'decided', namespace: 'team-a', containers: [{ access: 'refused', detail: noAccess.message }] },
    ]);
  });

  it('of one namespace are limited, and those of another are still written', async () => {
    const { ask, lines } = routes("container.image == 'a'", [kept]);
    for (let n = 0; n < 2_000; n += 1) await ask('/webhook', review('evil'));
    await ask('/webhook', review('good'));
    const of = (namespace: string): number =>
      lines.filter((line) => line.includes(`"namespace":"${namespace}"`)).length;
    expect(of('evil')).toBeGreaterThanOrEqual(300);
    expect(of('evil')).toBeLessThan(1_000);
    expect(of('good')).toBe(1);
  });
});
