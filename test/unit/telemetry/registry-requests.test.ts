import { describe, expect, it } from 'vitest';
import { registryLabels } from '../../../extension-service/src/registry/registry-labels.js';
import { actionOf, codeOf, isCountedPull, remainingOf } from '../../../extension-service/src/registry/request-log.js';
import { createMetrics } from '../../../extension-service/src/telemetry/metrics.js';
import { RequestTally } from '../../../extension-service/src/registry/request-tally.js';
import { requestMetrics } from '../../../extension-service/src/telemetry/registry-requests.js';

describe('the action of a request', () => {
  it.each([
    ['HEAD', '/v2/library/nginx/manifests/1.27', 'head-manifest'],
    ['GET', '/v2/library/nginx/manifests/sha256:1', 'get-manifest'],
    ['PUT', '/v2/library/nginx/manifests/1.27', 'put-manifest'],
    ['HEAD', '/v2/a/blobs/sha256:1', 'head-blob'],
    ['GET', '/v2/a/blobs/sha256:1', 'get-blob'],
    ['POST', '/v2/a/blobs/uploads/?mount=sha256:1&from=b', 'start-upload'],
    ['PUT', 'https://elsewhere.test/upload/1?digest=sha256:1', 'send-upload'],
    ['PATCH', '/v2/a/blobs/uploads/1', 'send-upload'],
    ['DELETE', '/v2/a/blobs/uploads/1', 'cancel-upload'],
    ['GET', '/v2/a/referrers/sha256:1', 'list-referrers'],
    ['GET', '/v2/', 'other'],
    ['GET', '/v2/a/tags/list', 'other'],
  ])('%s %s: %s', (method, target, action) => expect(actionOf(method, target)).toBe(action));
});

it.each([
  [200, '200'],
  [429, '429'],
  [418, '4xx'],
  [599, '5xx'],
  [999, '9xx'],
  [0, '0xx'],
])('status %i is code %s', (status, code) => expect(codeOf(status)).toBe(code));

it.each([
  ['76;w=21600', 76],
  ['0', 0],
  [' 5 ;w=1', 5],
  ['many', undefined],
  ['-1', undefined],
  ['99999999999999999999', undefined],
  [undefined, undefined],
])('ratelimit-remaining: %s is %s', (value, pulls) => {
  const headers = value === undefined ? {} : { 'ratelimit-remaining': value };
  expect(remainingOf({ headers })).toBe(pulls);
});

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.docker.distribution.manifest.list.v2+json';

it.each([
  ['the manifest of a platform', 'docker.io', 'get-manifest', 200, MANIFEST, {}, true],
  ['an index', 'docker.io', 'get-manifest', 200, INDEX, {}, false],
  ['an index with a parameter', 'docker.io', 'get-manifest', 200, `${INDEX}; charset=utf-8`, {}, false],
  ['a HEAD', 'docker.io', 'head-manifest', 200, MANIFEST, {}, false],
  ['a refusal', 'docker.io', 'get-manifest', 429, MANIFEST, {}, false],
  ['a blob', 'docker.io', 'get-blob', 200, MANIFEST, {}, false],
  ['another registry', 'ghcr.io', 'get-manifest', 200, MANIFEST, {}, false],
  ['a registry that counts', 'hub.example.com', 'get-manifest', 200, MANIFEST, { 'ratelimit-remaining': '9' }, true],
] as const)('%s at %s by %s with %i %s: counted as Docker Hub counts', (...row) => {
  const [, host, action, statusCode, type, headers, isPull] = row;
  const response = { statusCode, headers: { 'content-type': type, ...headers } };
  expect(isCountedPull(host, action, response as never)).toBe(isPull);
});

it('labels configured and well-known registries, and every other one as other', () => {
  const label = registryLabels(['harbor.example.com:5000']);
  expect(['harbor.example.com:5000', 'docker.io', 'evil.test', ''].map(label)).toEqual([
    'harbor.example.com:5000',
    'docker.io',
    'other',
    'other',
  ]);
});

it('adds up requests and reports those since the last report', async () => {
  const tally = new RequestTally();
  const metrics = createMetrics();
  const { onReport, onRequest } = requestMetrics(metrics);
  const hub = { host: 'docker.io', action: 'head-manifest' } as const;
  expect(tally.take()).toBeUndefined();
  for (const remaining of [12, 11]) tally.add({ ...hub, code: '200', remaining });
  tally.add({ ...hub, code: '429' });
  for (let n = 0; n < 3; n += 1) tally.add({ ...hub, action: 'get-manifest', code: '200', isPull: true });
  tally.add({ host: 'other', action: 'get-blob', code: 'error', remaining: 3 });
  const report = tally.take();
  expect(tally.take()).toBeUndefined();
  // The background worker sends the report as a structured clone.
  if (report !== undefined) onReport(structuredClone(report));
  onRequest({ ...hub, code: '429' });
  const text = await metrics.registry.metrics();
  for (const line of [
    'image_swapper_registry_requests_total{registry="docker.io",action="head-manifest",code="200"} 2',
    'image_swapper_registry_requests_total{registry="docker.io",action="head-manifest",code="429"} 2',
    'image_swapper_registry_requests_total{registry="other",action="get-blob",code="error"} 1',
    'image_swapper_registry_throttled_total{registry="docker.io"} 2',
    'image_swapper_ratelimit_remaining{registry="docker.io"} 11',
    'image_swapper_registry_pulls_total{registry="docker.io"} 3',
  ]) {
    expect(text).toContain(line);
  }
  expect(text).not.toContain('ratelimit_remaining{registry="other"}');
});
