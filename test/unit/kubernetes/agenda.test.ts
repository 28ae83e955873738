import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CopyReport } from '../../../extension-service/src/kubernetes/copy-report.js';
import { CopyAgenda } from '../../../extension-service/src/kubernetes/workloads/agenda.js';
import { LISTED, NEW_RANK } from '../../../extension-service/src/kubernetes/workloads/due-keys.js';
import type { Rank } from '../../../extension-service/src/kubernetes/workloads/due-keys.js';
import { WantedImages } from '../../../extension-service/src/kubernetes/workloads/wanted-images.js';
import type { MirrorJob, PullContext } from '../../../extension-service/src/core/decide/mirror-job.js';
import { failedBy, imageJob, objectReference, pullOf, succeeded } from './workloads.js';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

let images: WantedImages;
let asked: MirrorJob[];
/** The targets that were reported as moved. */
let moved: string[];
let latest: MirrorJob | undefined;
let agenda: CopyAgenda;
let running: AbortController;

beforeEach(() => {
  vi.useFakeTimers();
  images = new WantedImages();
  asked = [];
  agenda = new CopyAgenda({
    images,
    want: (jobs) => {
      asked.push(...jobs);
      latest = jobs.at(-1);
    },
    now: Date.now,
    interval: 10 * MINUTE,
    refresh: 60 * MINUTE,
    audit: DAY,
    random: () => 0.5,
    onTagMoved: (target) => moved.push(target),
  });
  moved = [];
  running = new AbortController();
  void agenda.run(running.signal);
});
afterEach(() => {
  running.abort();
  vi.useRealTimers();
});

/** Adds an object that uses the images, as the reconciler does. */
function addUser(user: string, names: readonly string[], pull?: PullContext, more: PodDetails = {}): void {
  const { rank = NEW_RANK, from = 'docker.io', uncertain = false } = more;
  const jobs = names.map((name) => imageJob(name, pull, { source: `${from}/library/${name}:1` }));
  const keys = jobs.map(({ key }) => key);
  const uses = { jobs, uncertain: new Set(uncertain ? keys : []) };
  const { fresh, otherPullKeys } = images.put(objectReference(user), undefined, uses, 1);
  agenda.add(fresh, rank);
  agenda.retry(otherPullKeys, rank);
  agenda.prefer(keys, rank);
}

interface PodDetails {
  readonly rank?: Rank;
  readonly from?: string;
  /** True if the object's image is in the target and its name only looks like a mirror of the image. */
  readonly uncertain?: boolean;
}

/** The jobs requested in this time: `name`, or `name!` if the job compares the target with the source. */
async function after(milliseconds: number): Promise<string[]> {
  asked = [];
  await vi.advanceTimersByTimeAsync(milliseconds);
  return asked.map(({ source, force }) => `${source.replace(/^.*\/|:1$/g, '')}${force ? '!' : ''}`);
}

function last(): MirrorJob {
  if (latest === undefined) throw new Error('nothing was asked for');
  return latest;
}

/** Ends the running copy: the queue reports the attempt and then answers the caller. */
function ended(report: CopyReport): void {
  agenda.copied(report);
  agenda.settled(report);
}

describe('scheduling of image requests', () => {
  it('requests a new image at once, and once for any number of users', async () => {
    addUser('a', ['app', 'sidecar']);
    addUser('b', ['app']);
    expect(await after(1)).toEqual(['app', 'sidecar']);
    addUser('c', ['app']);
    expect(await after(30 * MINUTE)).toEqual([]);
  });

  it('requests a present image at each interval, and compares it with its source at each refresh', async () => {
    addUser('a', ['app']);
    await after(1);
    ended(succeeded(last()));
    const times: string[] = [];
    for (let minutes = 1; minutes <= 75; minutes += 1) {
      const found = await after(MINUTE);
      times.push(...found.map((what) => `${minutes} ${what}`));
      if (found.length > 0) ended(succeeded(last(), true));
    }
    expect(times).toEqual(['11 app', '22 app', '33 app', '44 app', '55 app', '61 app!', '72 app']);
  });

  it('checks an image completely once a day, first at a random time, and an hour after a failure', async () => {
    addUser('a', ['app']);
    await after(1);
    ended(succeeded(last()));
    const audits: number[] = [];
    for (let minutes = 10; minutes <= 4 * 24 * 60; minutes += 10) {
      await after(10 * MINUTE);
      for (const job of asked) {
        if (job.presenceCheck !== undefined) audits.push(Math.round(minutes / 60));
        const fails = job.presenceCheck !== undefined && audits.length === 2;
        ended(fails ? failedBy(job, 'server', undefined) : succeeded(job, true));
      }
    }
    const pauses = audits.map((hour, index) => hour - (audits[index - 1] ?? 0));
    const bounds = [12, 24, 1, 24, 24];
    expect(pauses).toHaveLength(bounds.length);
    // Other due work goes first, so an audit may be up to two hours late.
    for (const [index, least] of bounds.entries()) expect([0, 1, 2]).toContain((pauses[index] ?? 0) - least);
    expect(asked.every(({ force }) => !force)).toBe(true);
  });

  it('does not audit an image that may not be a mirror', async () => {
    addUser('a', ['app'], undefined, { uncertain: true });
    await after(1);
    ended(succeeded(last(), true));
    for (let minutes = 10; minutes <= 2 * 24 * 60; minutes += 10) {
      await after(10 * MINUTE);
      for (const job of asked) {
        expect(job.presenceCheck).toBeUndefined();
        ended(succeeded(job, true));
      }
    }
  });

  it('audits at most two images at a time', async () => {
    const names = Array.from({ length: 20 }, (_, index) => `app${index}`);
    addUser('a', names);
    await after(1);
    const first = asked;
    for (const job of first) ended(succeeded(job));
    let open: MirrorJob[] = [];
    let most = 0;
    const seen = new Set<string>();
    for (let minutes = 10; minutes <= 13 * 60; minutes += 10) {
      await after(10 * MINUTE);
      for (const job of asked) {
        if (job.presenceCheck === undefined) ended(succeeded(job, true));
        else {
          open.push(job);
          seen.add(job.key);
        }
      }
      most = Math.max(most, open.length);
      for (const job of open) ended(succeeded(job, true));
      open = [];
    }
    expect(most).toBe(2);
    expect(seen.size).toBeGreaterThan(4);
  });

  it('reports a moved tag once when the source has another image', async () => {
    addUser('a', ['app']);
    await after(1);
    ended(succeeded(last()));
    expect(moved).toEqual([]);
    // Each check finds the image in the target until the comparison finds a different image in the source.
    for (let minutes = 1; minutes <= 61; minutes += 1) {
      if ((await after(MINUTE)).length > 0) ended(succeeded(last(), !last().force));
    }
    expect(last().force).toBe(true);
    expect(moved).toEqual([last().target]);
  });

  it('does not report a moved tag when a Pod forces the first copy', async () => {
    addUser('a', ['app']);
    agenda.refresh([imageJob('app', undefined, { source: 'docker.io/library/app:1' }).key]);
    await after(1);
    ended(succeeded({ ...last(), force: true }));
    expect(moved).toEqual([]);
  });

  it('stops requesting an image once nothing uses it', async () => {
    addUser('a', ['app']);
    await after(1);
    ended(succeeded(last()));
    images.remove('uid-of-a');
    expect(await after(60 * MINUTE)).toEqual([]);
    addUser('b', ['app']);
    expect(await after(1)).toEqual(['app']);
  });

  it('requests nothing after its period has ended', async () => {
    running.abort();
    addUser('a', ['app']);
    expect(await after(30 * MINUTE)).toEqual([]);
  });

  it('requests at most a hundred images per registry and a thousand in total', async () => {
    for (let n = 0; n < 2_400; n += 1) addUser(`user-${n}`, [`app-${n}`], undefined, { from: `r${n % 12}.test` });
    expect(await after(1)).toHaveLength(1_000);
    for (let n = 0; n < 12; n += 1) {
      expect(asked.filter(({ source }) => source.startsWith(`r${n}.test/`)).length).toBeLessThanOrEqual(100);
    }
    const first = asked;
    for (const job of first.slice(0, 10)) ended(succeeded(job));
    expect(await after(1)).toHaveLength(10);
    for (const job of first.slice(10)) ended(succeeded(job));
    expect(await after(1)).not.toEqual([]);
  });

  it('requests images of a namespace with few outstanding ones, although another namespace has filled the limit', async () => {
    for (let host = 0; host < 1_500; host += 1) {
      addUser(`evil-${host}`, [`e${host}`], pullOf('evil'), { from: `h${host}.test` });
    }
    expect(await after(1)).toHaveLength(1_000);
    const names = Array.from({ length: 120 }, (_, n) => `g${n}`);
    addUser('good', names, pullOf('good'));
    expect(await after(1)).toEqual(names.slice(0, 100));
    // The same applies to one registry: docker.io has reached its limit of 100, and a third namespace gets 25 more.
    addUser(
      'other',
      names.map((name) => `o-${name}`),
      pullOf('other'),
    );
    expect(await after(1)).toEqual(names.slice(0, 25).map((name) => `o-${name}`));
  });

  it('requests a new image before thousands of listed ones of another registry', async () => {
    for (let n = 0; n < 3_000; n += 1) addUser(`user-${n}`, [`app-${n}`], undefined, { rank: LISTED.pod });
    expect(await after(1)).toHaveLength(100);
    addUser('new', ['other'], undefined, { from: 'quay.io' });
    expect(await after(1)).toEqual(['other']);
  });

  it('requests new images before listed ones, and running ones before possible ones', async () => {
    addUser('template', ['t1', 't2', 't3'], undefined, { rank: LISTED.template });
    addUser('pod', ['p1', 't3'], undefined, { rank: LISTED.pod });
    addUser('new', ['n1', 't2'], undefined, { rank: NEW_RANK });
    expect(await after(1)).toEqual(['n1', 't2', 'p1', 't3', 't1']);
  });
});

describe('the current image of a tag', () => {
  it('requests it once for many concurrent Pods, and again for later ones', async () => {
    addUser('a', ['app']);
    await after(1);
    ended(succeeded(last()));
    await after(MINUTE);
    const key = last().key;
    for (let pods = 0; pods < 1_000; pods += 1) agenda.refresh([key]);
    expect(await after(1)).toEqual(['app!']);
    ended(succeeded(last(), true));
    agenda.refresh([key]);
    expect(await after(1)).toEqual([]);
    await after(11_000);
    agenda.refresh([key]);
    expect(await after(1)).toEqual(['app!']);
  });

  it('requests it after the running copy, which may have started earlier', async () => {
    addUser('a', ['app']);
    await after(1);
    const first = last();
    agenda.refresh([first.key]);
    expect(await after(1)).toEqual([]);
    ended(succeeded(first));
    expect(await after(1)).toEqual(['app!']);
  });
});

describe('images in the target whose name only looks like a mirror', () => {
  it('checks that it exists, and never compares it with the apparent source', async () => {
    addUser('a', ['app'], undefined, { uncertain: true });
    expect(await after(1)).toEqual(['app']);
    ended(succeeded(last(), true));
    const found: string[] = [];
    for (let minutes = 0; minutes < 180; minutes += 1) {
      const next = await after(MINUTE);
      found.push(...next);
      if (next.length > 0) ended(succeeded(last(), true));
    }
    // The image is checked once in each interval.
    expect(found).toEqual(Array.from({ length: 16 }, () => 'app'));
    agenda.refresh([last().key]);
    expect(await after(1)).toEqual(['app']);
  });

  it.each<readonly [string, () => void]>([
    ['something names its source', () => addUser('b', ['app'])],
    ['we copied it there', () => agenda.copied(succeeded(last()))],
  ])('compares it once %s', async (_, learn) => {
    addUser('a', ['app'], undefined, { uncertain: true });
    await after(1);
    ended(succeeded(last(), true));
    await after(MINUTE);
    learn();
    const found: string[] = [];
    for (let minutes = 0; minutes < 75; minutes += 1) {
      const next = await after(MINUTE);
      found.push(...next);
      if (next.length > 0) ended(succeeded(last(), true));
    }
    expect(found).toContain('app!');
  });
});

describe('after a failure', () => {
  it('waits for the retry of the queue and uses its result', async () => {
    addUser('a', ['app']);
    await after(1);
    ended(failedBy(last(), 'unreachable', Date.now() + 3 * MINUTE));
    const job = last();
    expect(await after(2 * MINUTE)).toEqual([]);
    agenda.copied(succeeded(job));
    expect(await after(9 * MINUTE)).toEqual([]);
    expect(await after(2 * MINUTE)).toEqual(['app']);
  });

  it('requests unchanged images at growing intervals, up to the configured one', async () => {
    addUser('a', ['app']);
    await after(1);
    const times: number[] = [];
    for (let tries = 0; tries < 7; tries += 1) {
      const start = Date.now();
      ended(failedBy(last(), 'invalid'));
      asked = [];
      while (asked.length === 0) await vi.advanceTimersByTimeAsync(5_000);
      times.push(Math.round((Date.now() - start) / MINUTE));
    }
    expect(times).toEqual([1, 2, 4, 8, 10, 10, 10]);
  });

  it('tries the pull secrets of every user in turn, five before a pause', async () => {
    const namespaces = Array.from({ length: 7 }, (_, index) => `team-${index}`);
    namespaces.forEach((namespace) => addUser(`pod-of-${namespace}`, ['app'], pullOf(namespace, 'registry')));
    await after(1);
    const attempted: string[] = [];
    for (let tries = 0; tries < 5; tries += 1) {
      attempted.push(last().pull?.namespace ?? '');
      ended(failedBy(last(), tries % 2 === 0 ? 'unauthorized' : 'absent'));
      expect(await after(1)).toHaveLength(tries < 4 ? 1 : 0);
    }
    expect(await after(MINUTE + 5_000)).toEqual(['app']);
    attempted.push(last().pull?.namespace ?? '');
    ended(failedBy(last(), 'forbidden'));
    expect(await after(1)).toEqual(['app']);
    attempted.push(last().pull?.namespace ?? '');
    expect(attempted).toEqual(namespaces);
    ended(succeeded(last()));
    expect(await after(10 * MINUTE + 5_000)).toEqual(['app']);
    expect(last().pull?.namespace).toBe('team-6');
  });

  it('forgets the secrets of namespaces that no longer use the image', async () => {
    addUser('old', ['app'], pullOf('gone', 'registry'));
    addUser('new', ['app'], pullOf('team-a', 'registry'));
    images.remove('uid-of-old');
    await after(1);
    expect(last().pull?.namespace).toBe('team-a');
  });

  it('requests it at once when a new user may pull it with other credentials', async () => {
    addUser('a', ['app'], pullOf('team-a'));
    await after(1);
    ended(failedBy(last(), 'unauthorized'));
    expect(await after(1)).toEqual([]);
    addUser('b', ['app'], pullOf('team-a'));
    expect(await after(1)).toEqual([]);
    addUser('c', ['app'], pullOf('team-b', 'registry'));
    expect(await after(1)).toEqual(['app']);
    ended(failedBy(last(), 'unauthorized'));
    await after(1);
    expect(last().pull?.namespace).toBe('team-b');
  });
});
