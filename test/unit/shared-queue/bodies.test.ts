import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mirrorJobKey } from '../../../extension-service/src/core/decide/mirror-job.js';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import { compileRules } from '../../../extension-service/src/core/decide/rules.js';
import { formatReference, parseReference } from '../../../extension-service/src/core/image/reference.js';
import { targetReference } from '../../../extension-service/src/core/naming/name.js';
import { namingTarget } from '../../../extension-service/src/kinds/registry-naming.js';
import { bodyOf, isStorable, jobId, readBody } from '../../../extension-service/src/shared-queue/job-body.js';
import { readResult, resultBody } from '../../../extension-service/src/shared-queue/result-body.js';
import { configOf, ociTarget } from '../decide/rules-of.js';
import { OUTCOME } from '../mirror/queue-world.js';

const rules = compileRules(configOf({ target: ociTarget('mirror.test', { prefix: 'all' }) }), namingTarget);
const naming = namingTarget(ociTarget('mirror.test', { prefix: 'all' }));
const DIGEST = `sha256:${'b'.repeat(64)}`;

function jobOf(image: string, more: Partial<MirrorJob> = {}): MirrorJob {
  const source = parseReference(image);
  const reference = targetReference(naming, source);
  const job = {
    source: formatReference(source),
    target: 'default',
    reference,
    platforms: 'all',
    force: false,
  } as const;
  return { key: mirrorJobKey(reference, 'all'), ...job, ...more };
}

/** The body of a job, as the server returns it. */
function stored(job: MirrorJob): unknown {
  return JSON.parse(JSON.stringify(bodyOf(job)));
}

const segment = fc.stringMatching(/^[a-z0-9]{1,8}(?:[._-][a-z0-9]{1,8})?$/);
const images = fc
  .tuple(
    fc.constantFrom('docker.io', 'ghcr.io', 'localhost:5000', 'a.b-c.test:1'),
    fc.array(segment, { minLength: 1, maxLength: 4 }),
  )
  .chain(([host, path]) =>
    fc.constantFrom(':1.0', ':Latest', `@${DIGEST}`, '').map((end) => `${host}/${path.join('/')}${end}`),
  );

describe('the body of a job', () => {
  it('gives the same job to another replica, with an unproven Pod', () => {
    fc.assert(
      fc.property(images, fc.boolean(), fc.constantFrom(undefined, 'due', 'tree', 'bytes'), (image, force, look) => {
        const pull = { namespace: 'team-a', serviceAccount: 'default', secretNames: ['one', 'two'] };
        const job = jobOf(image, {
          force,
          ...(look !== undefined && { presenceCheck: look as 'tree' }),
          allReferrers: true,
          pull,
        });
        expect(readBody(jobId(job), stored(job), rules)).toEqual({ ...job, pull: { ...pull, unproven: true } });
      }),
    );
  });

  it('is refused under the id or name of another image', () => {
    fc.assert(
      fc.property(images, images, (one, other) => {
        const [mine, evil] = [jobOf(one), jobOf(other)];
        fc.pre(mine.key !== evil.key);
        expect(readBody(jobId(mine), stored(evil), rules)).toMatch(/its id is not that of/);
        const renamed = { ...(stored(evil) as object), reference: mine.reference.text };
        expect(readBody(jobId(mine), renamed, rules)).toEqual(expect.any(String));
      }),
    );
  });

  it('is refused for any other value, without throwing', () => {
    fc.assert(fc.property(fc.jsonValue(), (data) => typeof readBody('c1', data, rules) === 'string'));
  });

  it('contains no credentials, and is stored only within the size limit', () => {
    const pull = { namespace: 'a', serviceAccount: 'b', secretNames: ['c'] };
    expect(bodyOf(jobOf('nginx', { pull }))).toEqual({
      v: 1,
      source: 'docker.io/library/nginx:latest',
      target: 'default',
      reference: 'mirror.test/all/docker.io/library/nginx:latest',
      pull: ['a', 'b', 'c'],
    });
    const many = Array.from({ length: 101 }, (_, index) => `secret-${index}`);
    expect(isStorable(bodyOf(jobOf('nginx', { pull })))).toBe(true);
    expect(isStorable(bodyOf(jobOf('nginx', { pull: { ...pull, secretNames: many } })))).toBe(false);
  });
});

describe('the body of a result', () => {
  const job = jobOf('nginx');

  it.each([
    ['a copy', { ok: true, outcome: { ...OUTCOME, repaired: ['x'], unfinished: [{ what: 'y', kind: 'signature' }] } }],
    [
      'a failure',
      {
        ok: false,
        failure: { reason: 'throttled', message: 'm', retryable: true, retryAfter: 5, host: 'h.test' },
      },
    ],
    [
      'a refusal of a gate',
      {
        ok: false,
        failure: {
          reason: 'gated',
          message: 'm',
          retryable: true,
          gate: { check: 'minimumAge', verdict: 'held', until: 5 },
        },
      },
    ],
  ] as const)('is read back unchanged: %s', (_, result) => {
    const body = resultBody(job, result);
    expect(readResult(JSON.parse(JSON.stringify(body)), job)).toEqual(body);
  });

  it('is rejected for another digest than the requested one, or in an unknown form', () => {
    const pinned = jobOf(`nginx@${DIGEST}`);
    expect(readResult(resultBody(pinned, { ok: true, outcome: OUTCOME }), pinned)).toBeUndefined();
    expect(readResult({ did: {}, ok: true, outcome: { ...OUTCOME, digest: 'x' } }, job)).toBeUndefined();
    expect(readResult({ did: {}, ok: false, failure: { reason: 'toString', message: 'm' } }, job)).toBeUndefined();
    fc.assert(fc.property(fc.jsonValue(), (value) => readResult(value, job) === undefined));
  });
});
