import fc from 'fast-check';
import { expect, it } from 'vitest';
import { reservedSlots } from '../../../extension-service/src/core/config/copy-slots.js';
import type { CopyLimits } from '../../../extension-service/src/mirror/slots.js';
import { sourceHost, targetHost } from '../../../extension-service/src/core/decide/mirror-job.js';
import { CONFIGURATION_REASONS, MirrorQueue } from '../../../extension-service/src/mirror/queue.js';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import type { MirrorResult } from '../../../extension-service/src/mirror/status.js';
import { FakeClock, HeldCopier, failure, job, settledPromises } from './queue-world.js';
import type { StartedCopy } from './queue-world.js';

/** The queue keeps its guarantees for any order of requests, completions, failures, reloads and passing time. */

const CAPACITY = 6;
const RETRY = { base: 1_000, max: 300_000, attempts: 3, pause: 60_000 };
const SOURCES = ['s1.test', 's2.test', 's3.test'];
const TARGETS = ['t1.test', 't2.test'];

const retryAfter = fc.option(fc.integer({ min: 1, max: 100_000 }), { nil: undefined });
const command = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('ask' as const),
      name: fc.constantFrom('a', 'b', 'c'),
      from: fc.constantFrom(...SOURCES),
      to: fc.constantFrom(...TARGETS),
      force: fc.boolean(),
      namespace: fc.option(fc.constantFrom('x', 'y'), { nil: undefined }),
      ours: fc.boolean(),
      waits: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('end' as const), which: fc.nat(10) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('fail' as const),
      which: fc.nat(10),
      reason: fc.constantFrom('unreachable', 'throttled', 'server', 'absent', 'unauthorized', 'internal'),
      at: fc.constantFrom('source', 'target'),
      retryAfter,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('progress' as const), which: fc.nat(10) }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('pass' as const), milliseconds: fc.integer({ min: 1, max: 90_000 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('limits' as const),
      concurrency: fc.integer({ min: 1, max: 4 }),
      perSource: fc.integer({ min: 1, max: 3 }),
      perTarget: fc.integer({ min: 1, max: 4 }),
      strict: fc.record({ perSource: fc.boolean(), perTarget: fc.boolean() }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('mend' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('role' as const), leads: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('late' as const), which: fc.nat(10) }) },
);
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

/** Checks each start against the current limits and against the pauses that registries have requested. */
class Watched extends HeldCopier {
  readonly running = new Set<StartedCopy>();
  limits: Required<CopyLimits> = {
    concurrency: 2,
    perSource: 1,
    perTarget: 2,
    strict: { perSource: true, perTarget: false },
  };
  /** Earliest time of the next request to each registry that asked for a pause. */
  readonly quietUntil = new Map<string, number>();
  readonly faults: string[] = [];

  constructor(private readonly clock: FakeClock) {
    super();
  }

  override copy(...args: Parameters<HeldCopier['copy']>): ReturnType<HeldCopier['copy']> {
    const [copied] = args;
    const answer = super.copy(...args);
    const begun = this.started.at(-1);
    if (begun !== undefined) {
      this.running.add(begun);
      // A background worker fails an aborted copy in the same way.
      begun.signal.addEventListener('abort', () => {
        this.running.delete(begun);
        begun.fail(failure('stopped', true));
      });
    }
    const all = [...this.running].map(({ job: other }) => other);
    const { concurrency, perSource, perTarget, strict } = this.limits;
    const reserve = reservedSlots(concurrency);
    const check = (ok: boolean, what: string): void => void (ok || this.faults.push(what));
    check(all.filter(({ key }) => key === copied.key).length === 1, `${copied.key} runs twice`);
    check(all.length <= concurrency + reserve, `${all.length} copies run`);
    for (const [hostOf, most, isStrict] of [
      [sourceHost, perSource, strict.perSource],
      [targetHost, perTarget, strict.perTarget],
    ] as const) {
      const host = hostOf(copied);
      const same = all.filter((other) => hostOf(other) === host);
      check(same.length <= most + (isStrict ? 0 : reserve), `${same.length} copies of ${host} run`);
      const quiet = this.quietUntil.get(host) ?? 0;
      check(quiet <= this.clock.time, `${host} is asked ${quiet - this.clock.time} ms too early`);
    }
    return answer;
  }

  take(which: number): StartedCopy | undefined {
    const all = [...this.running];
    return all[which % all.length];
  }
}

async function play(commands: readonly Command[]): Promise<void> {
  const clock = new FakeClock();
  const copier = new Watched(clock);
  const finished: string[] = [];
  const queue = new MirrorQueue(copier, {
    ...copier.limits,
    capacity: CAPACITY,
    retry: RETRY,
    now: clock.now,
    after: clock.after,
    random: () => 0.5,
    events: { onDone: ({ key }, _result, _milliseconds, _attempt, final) => void (final && finished.push(key)) },
  });
  let unanswered = 0;
  let forgets = false;
  const admissions: (() => void)[] = [];
  const ask = (asked: MirrorJob, isOurs: boolean, waits: boolean): void => {
    unanswered += 1;
    const awaiting = {};
    if (waits) admissions.push(() => queue.release(asked.key, awaiting));
    void queue.enqueue(asked, { exclusive: isOurs, ...(waits && { awaiting }) }).then((result: MirrorResult) => {
      unanswered -= 1;
      return result;
    });
  };

  for (const step of commands) {
    switch (step.do) {
      case 'ask': {
        const { name, from, to, force, namespace, waits } = step;
        const pull = namespace === undefined ? {} : { pull: { namespace, serviceAccount: 'd', secretNames: [] } };
        ask(job(name, { from, to, force, ...pull }), step.ours, waits);
        break;
      }
      case 'end': {
        const copy = copier.take(step.which);
        if (copy !== undefined) copier.running.delete(copy);
        copy?.end();
        break;
      }
      case 'progress':
        copier.take(step.which)?.progress({ transferred: 1, total: 2 });
        break;
      case 'fail': {
        const copy = copier.take(step.which);
        if (copy === undefined) break;
        const host = step.at === 'source' ? sourceHost(copy.job) : targetHost(copy.job);
        const retryable = step.reason !== 'absent' && step.reason !== 'unauthorized';
        const throttled = step.reason === 'throttled' ? (step.retryAfter ?? 0) : 0;
        if (throttled > 0)
          copier.quietUntil.set(host, Math.max(copier.quietUntil.get(host) ?? 0, clock.time + throttled));
        copier.running.delete(copy);
        copy.fail(failure(step.reason, retryable, { host, ...(throttled > 0 && { retryAfter: throttled }) }));
        break;
      }
      case 'pass':
        await clock.pass(step.milliseconds);
        break;
      case 'limits':
        copier.limits = step;
        queue.setLimits(step);
        break;
      case 'mend':
        queue.retryNow(CONFIGURATION_REASONS);
        break;
      case 'late':
        admissions.splice(step.which % Math.max(1, admissions.length), 1)[0]?.();
        break;
      case 'role':
        forgets ||= !step.leads;
        if (step.leads) queue.takeOver();
        else queue.handBack();
    }
    await settledPromises();
    const { queued, running, waiting } = queue.counts();
    expect(queued + running + waiting).toBeLessThanOrEqual(CAPACITY);
    expect(running).toBe(copier.running.size);
    expect(copier.faults).toEqual([]);
  }

  // From here on, every copy succeeds. Every job must end, and every request must get an answer.
  for (let rounds = 0; ; rounds += 1) {
    for (const copy of [...copier.running]) {
      copier.running.delete(copy);
      copy.end();
    }
    await clock.pass(10_000);
    const { queued, running, waiting } = queue.counts();
    if (queued + running + waiting === 0) break;
    expect(rounds).toBeLessThan(200);
  }
  expect(copier.faults).toEqual([]);
  expect(unanswered).toBe(0);
  expect(queue.oldestAge()).toBe(0);
  // Each job in the list, and no other, is reported as finished.
  if (!forgets) expect(new Set(finished).size).toBe(queue.list().length);
}

it('keeps its limits: one copy per image, no registry above its limit or before its wait, and every copy ends', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 60 }), (commands) => play(commands)),
    { numRuns: 1_000 },
  );
}, 60_000);
