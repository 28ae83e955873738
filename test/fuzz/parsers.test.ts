import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { compileFilter } from '../../extension-service/src/core/filters/compile.js';
import { InvalidReferenceError, parseReference } from '../../extension-service/src/core/image/reference.js';
import { DockerConfigError, parseDockerConfig } from '../../extension-service/src/credentials/docker-config.js';
import { statedDigest } from '../../extension-service/src/registry/digests.js';
import { RegistryError } from '../../extension-service/src/registry/errors.js';
import { InvalidManifestError, mediaTypeOf, parseManifest } from '../../extension-service/src/registry/manifest.js';
import { parseChallenges } from '../../extension-service/src/registry/transport/challenge.js';
import { parseDiagnostics } from '../../extension-service/src/registry/transport/diagnostics.js';
import { redirectTarget } from '../../extension-service/src/registry/transport/redirects.js';
import { checkRealm } from '../../extension-service/src/registry/transport/token-realm.js';
import {
  BadRequestError,
  parseAdmissionRequest,
  parseJson,
} from '../../extension-service/src/server/admission-request.js';
import { answerGatekeeper } from '../../extension-service/src/server/gatekeeper.js';
import { heapInUse, StepMeter } from './meter.js';
import { mutate, Random } from './mutate.js';

/**
 * Ten million mutated inputs for everything that parses text from outside. FUZZ_SEED repeats a run, FUZZ_INPUTS makes
 * it shorter or longer. A parser may refuse an input only with its own error.
 */
const inputs = Number(process.env['FUZZ_INPUTS'] ?? 10_000_000);
const seed = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 0x7fffffff));
// Most inputs are refused, and a stack trace costs more time than the parsing.
Error.stackTraceLimit = 0;

const MAX_STEP_MS = 200;
const MAX_GROWTH_BYTES = 32 * 1024 * 1024;

const digest = `sha256:${'a'.repeat(64)}`;
const url = new URL('https://r.example.com/v2/team/app/manifests/1');
const asked = { host: 'r.example.com', method: 'GET', url };
const answer = (headers: Record<string, string>): IncomingMessage =>
  ({ statusCode: 307, headers }) as unknown as IncomingMessage;
const request = { method: 'GET', target: '/', scopes: [], accept: [200] };
const descriptor = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size: 5 };
const pod = {
  metadata: { name: 'web', namespace: 'team-a', labels: { app: 'web' } },
  spec: {
    containers: [{ name: 'app', image: 'nginx:1.27', env: [{ name: 'A', value: 'b' }] }],
    imagePullSecrets: [{ name: 's' }],
  },
};
const review = { uid: '1', operation: 'CREATE', namespace: 'team-a', kind: { kind: 'Pod' }, object: pod };

interface Target {
  readonly name: string;
  /** The parser's share of all inputs. */
  readonly share: number;
  readonly seeds: readonly string[];
  readonly parse: (text: string) => unknown;
  /** The error with which the parser refuses an input. */
  readonly refusals: readonly (abstract new (...args: never[]) => Error)[];
}

const targets: readonly Target[] = [
  {
    name: 'references',
    share: 0.24,
    seeds: [
      'nginx',
      'docker.io/library/nginx:1.27',
      `ghcr.io/a/b_c/d-e@${digest}`,
      'localhost:5000/x',
      '[::1]:5000/a:b',
    ],
    parse: parseReference,
    refusals: [InvalidReferenceError],
  },
  {
    name: 'AdmissionReviews',
    share: 0.08,
    seeds: [JSON.stringify(review), JSON.stringify({ object: pod }), JSON.stringify({ ...review, oldObject: pod })],
    parse: (text) => parseAdmissionRequest(parseJson(text, 'the body')),
    refusals: [BadRequestError],
  },
  {
    name: 'ProviderRequests',
    share: 0.08,
    seeds: [
      JSON.stringify({ kind: 'ProviderRequest', request: { keys: ['nginx', 'redis:7'] } }),
      JSON.stringify({
        apiVersion: 'externaldata.gatekeeper.sh/v1beta1',
        kind: 'ProviderRequest',
        request: { keys: null },
      }),
    ],
    parse: (text) => answerGatekeeper(text, async (images) => images),
    refusals: [BadRequestError],
  },
  {
    name: 'WWW-Authenticate',
    share: 0.2,
    seeds: [
      'Bearer realm="https://auth.example.com/token",service="r",scope="repository:a/b:pull,push"',
      'Basic realm="x", Bearer realm="/token"',
      'Negotiate YII=, Digest realm="x", nonce="\\"n\\"", Basic realm=y',
    ],
    parse: (text) => {
      const origin = {
        host: 'r.example.com',
        url,
        verified: true,
        tls: { verify: true },
        redirectPolicy: { key: '', refusal: () => undefined },
        isOtherRegistry: () => false,
      };
      return parseChallenges(text).map((challenge) => checkRealm(challenge, origin, true));
    },
    refusals: [RegistryError],
  },
  {
    name: 'Location',
    share: 0.12,
    seeds: [
      '/v2/a/blobs/uploads/1?_state=x',
      'https://cdn.example.com/a?sig=b',
      '//host/x',
      'http://[::1]:80/',
      '../../x',
    ],
    parse: (text) => redirectTarget(answer({ location: text }), request, asked, 0),
    refusals: [RegistryError],
  },
  {
    name: 'digests',
    share: 0.08,
    seeds: [digest, `sha512:${'b'.repeat(128)}`, 'md5:d41d8cd98f00b204e9800998ecf8427e'],
    parse: (text) => statedDigest(answer({ 'docker-content-digest': text }), asked),
    refusals: [RegistryError],
  },
  {
    name: 'manifests',
    share: 0.06,
    seeds: [
      JSON.stringify({ schemaVersion: 2, config: descriptor, layers: [descriptor] }),
      JSON.stringify({
        mediaType: 'application/vnd.oci.image.index.v1+json',
        manifests: [{ ...descriptor, platform: { os: 'linux', architecture: 'arm', variant: 'v7' } }, descriptor],
      }),
      JSON.stringify({ manifests: [{ ...descriptor, platform: null, annotations: { a: 'b' }, urls: ['https://x'] }] }),
    ],
    parse: (text) => {
      const bytes = Buffer.from(text);
      return parseManifest({ mediaType: mediaTypeOf(undefined, bytes), digest, bytes });
    },
    refusals: [InvalidManifestError],
  },
  {
    name: 'error bodies',
    share: 0.04,
    seeds: [
      JSON.stringify({ errors: [{ code: 'DENIED', message: 'no', detail: {} }] }),
      '<!doctype html><html>',
      '{"details":"x"}',
    ],
    parse: parseDiagnostics,
    refusals: [],
  },
  {
    name: 'Docker configs',
    share: 0.06,
    seeds: [
      JSON.stringify({
        auths: { 'ghcr.io': { auth: 'dXNlcjpwYXNz' }, 'https://index.docker.io/v1/': { username: 'u', password: 'p' } },
      }),
      JSON.stringify({ 'r.example.com': { identitytoken: 't' }, '*.example.com': { registrytoken: 't' } }),
    ],
    parse: (text) => parseDockerConfig(text, 'Secret a/b'),
    refusals: [DockerConfigError],
  },
  {
    name: 'JMESPath',
    share: 0.04,
    seeds: [
      "obj.metadata.namespace == 'kube-system'",
      "contains(container.image, 'nginx') && !starts_with(container.name, 'a')",
      'obj.spec.containers[?image==`"nginx"`].{n: name, i: image} | [0:2:-1]',
      "length(keys(obj.metadata.labels || `{}`)) > `0` || sort_by(obj.spec.containers, &name)[-1].name == 'x'",
    ],
    parse: (text) => compileFilter(text, 0).filter?.evaluate({ obj: pod, container: pod.spec.containers[0] }),
    refusals: [],
  },
];

describe(`${inputs} inputs, FUZZ_SEED=${seed}`, () => {
  it('divides the inputs between all parsers', () => {
    expect(targets.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
  });

  it.each(targets)(
    'are refused or parsed by $name, fast and without a leak',
    async ({ name, share, seeds, parse, refusals }) => {
      const count = Math.ceil(inputs * share);
      const random = new Random(seed);
      const meter = new StepMeter();
      let refused = 0;
      let warm = 0;
      for (let n = 0; n < count; n++) {
        if (n === Math.floor(count / 5)) {
          warm = heapInUse();
          meter.start();
        }
        const text = n < seeds.length ? (seeds[n] ?? '') : mutate(random, seeds);
        try {
          const result = parse(text);
          if (result instanceof Promise) await result;
        } catch (error) {
          if (!refusals.some((kind) => error instanceof kind)) {
            throw new Error(`${name}: ${JSON.stringify(text)} at input ${n} of FUZZ_SEED=${seed}`, { cause: error });
          }
          refused++;
        }
        meter.stop(text);
      }
      const growth = heapInUse() - warm;
      process.stderr.write(
        `${name}: ${count} inputs, ${refused} refused, longest step ${meter.longest.toFixed(1)} ms of CPU, ` +
          `growth ${(growth / 1024).toFixed(0)} KiB\n`,
      );
      expect([meter.longest < MAX_STEP_MS, meter.longestInput]).toEqual([true, meter.longestInput]);
      expect(growth).toBeLessThan(MAX_GROWTH_BYTES);
      // The seeds are valid. Mutations must give both valid and invalid inputs.
      if (refusals.length > 0) expect(refused).toBeGreaterThan(0);
      expect(refused).toBeLessThan(count);
    },
  );
});
