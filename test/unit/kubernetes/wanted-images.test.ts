import { describe, expect, it } from 'vitest';
import type { MirrorJob } from '../../../extension-service/src/core/decide/mirror-job.js';
import type { ObjectUses } from '../../../extension-service/src/kubernetes/workloads/wanted-images.js';
import { WantedImages } from '../../../extension-service/src/kubernetes/workloads/wanted-images.js';
import { imageJob, objectReference, pullOf } from './workloads.js';

function keys(images: WantedImages): string[] {
  return [...images.all()].map(([, { job }]) => job.source.replace(/^.*\/|:1$/g, ''));
}

const certain = (jobs: readonly MirrorJob[]): ObjectUses => ({ jobs, uncertain: new Set() });
const uncertain = (jobs: readonly MirrorJob[]): ObjectUses => ({
  jobs,
  uncertain: new Set(jobs.map(({ key }) => key)),
});

describe('WantedImages', () => {
  it('contains exactly the used images', () => {
    const images = new WantedImages();
    expect(
      images.put(objectReference('a'), undefined, certain([imageJob('app'), imageJob('sidecar')]), 1).fresh,
    ).toHaveLength(2);
    expect(images.put(objectReference('b'), undefined, certain([imageJob('app')]), 1).fresh).toEqual([]);
    images.remove('uid-of-a');
    expect(keys(images)).toEqual(['app']);
    images.put(objectReference('b'), undefined, certain([imageJob('other')]), 1);
    expect(keys(images)).toEqual(['other']);
    images.remove('uid-of-b');
    images.remove('uid-of-b');
    expect([images.imageCount, images.objectCount]).toEqual([0, 0]);
  });

  it('keeps an image when its only user changes and still uses it', () => {
    const images = new WantedImages();
    images.put(objectReference('a'), undefined, certain([imageJob('app')]), 1);
    expect(
      images.put(objectReference('a'), undefined, certain([imageJob('app'), imageJob('new')]), 1).fresh,
    ).toHaveLength(1);
    expect(keys(images)).toEqual(['app', 'new']);
  });

  it('forgets objects that a new list of their kind does not contain', () => {
    const images = new WantedImages();
    images.put(objectReference('stays'), undefined, certain([imageJob('a')]), 1);
    images.put(objectReference('goes'), undefined, certain([imageJob('b')]), 1);
    images.put(objectReference('other', 'Deployment'), undefined, certain([imageJob('c')]), 1);
    images.put(objectReference('stays'), undefined, certain([imageJob('a')]), 2);
    images.prune('Pod', 2);
    expect(keys(images)).toEqual(['a', 'c']);
  });

  it('is certain about an image while one of its users is certain', () => {
    const images = new WantedImages();
    const job = imageJob('app');
    const isCertain = () => images.get(job.key)?.certain;
    images.put(objectReference('a'), undefined, uncertain([job]), 1);
    expect(isCertain()).toBe(false);
    images.put(objectReference('b'), undefined, certain([job]), 1);
    expect(isCertain()).toBe(true);
    images.put(objectReference('b'), undefined, uncertain([job]), 1);
    expect(isCertain()).toBe(false);
    images.put(objectReference('a'), undefined, certain([job]), 1);
    expect(isCertain()).toBe(true);
    images.remove('uid-of-a');
    expect(isCertain()).toBe(false);
  });

  it('detects when an object becomes certain about another of its images', () => {
    const images = new WantedImages();
    const jobs = [imageJob('a'), imageJob('b')];
    const areCertain = () => jobs.map(({ key }) => images.get(key)?.certain);
    for (const unsure of jobs) {
      images.put(objectReference('pod'), undefined, { jobs, uncertain: new Set([unsure.key]) }, 1);
      expect(areCertain()).toEqual(jobs.map((job) => job !== unsure));
    }
  });

  it('reports users with new pull secrets, and keeps only those of present users', () => {
    const images = new WantedImages();
    const way = (namespace: string) => imageJob('app', pullOf(namespace, 'one', 'two'));
    const pulls = () => images.get(way('x').key)?.pulls() ?? [];
    expect(images.put(objectReference('a'), undefined, certain([way('x')]), 1)).toEqual({
      fresh: [way('x').key],
      otherPullKeys: [],
    });
    expect(images.put(objectReference('b'), undefined, certain([way('x')]), 1)).toEqual({
      fresh: [],
      otherPullKeys: [],
    });
    expect(images.put(objectReference('c'), undefined, certain([way('y')]), 1)).toEqual({
      fresh: [],
      otherPullKeys: [way('x').key],
    });
    expect(pulls().map(({ namespace }) => namespace)).toEqual(['x', 'y']);
    images.remove('uid-of-a');
    expect(pulls()).toHaveLength(2);
    images.remove('uid-of-b');
    expect(pulls()).toEqual([pullOf('y', 'one', 'two')]);
    images.put(objectReference('c'), undefined, certain([imageJob('app', pullOf('y', 'two', 'one'))]), 1);
    expect(pulls()).toEqual([pullOf('y', 'two', 'one')]);
  });

  it('names the topmost known owners once each, and a few if there are many', () => {
    const images = new WantedImages();
    const job = imageJob('app');
    images.put(objectReference('deployment', 'Deployment'), undefined, certain([job]), 1);
    images.put(objectReference('set', 'ReplicaSet'), 'uid-of-deployment', certain([job]), 1);
    for (let pods = 0; pods < 50; pods += 1)
      images.put(objectReference(`pod-${pods}`), 'uid-of-set', certain([job]), 1);
    images.put(objectReference('orphan'), 'uid-of-nothing-here', certain([job]), 1);
    expect(images.topUsers(job.key, 5).map(({ name }) => name)).toEqual(['deployment', 'orphan']);
    for (let pods = 0; pods < 50; pods += 1) images.put(objectReference(`bare-${pods}`), undefined, certain([job]), 1);
    expect(images.topUsers(job.key, 5)).toHaveLength(5);
  });

  it('ends when objects own each other', () => {
    const images = new WantedImages();
    const job = imageJob('app');
    images.put(objectReference('a'), 'uid-of-b', certain([job]), 1);
    images.put(objectReference('b'), 'uid-of-a', certain([job]), 1);
    expect(images.topUsers(job.key, 5).length).toBeGreaterThan(0);
  });

  it('keeps nothing of a hundred thousand deleted objects', () => {
    const images = new WantedImages();
    for (let pods = 0; pods < 100_000; pods += 1) {
      images.put(
        objectReference(`pod-${pods}`),
        undefined,
        certain([imageJob(`app-${pods % 500}`, pullOf(`n-${pods % 50}`))]),
        1,
      );
    }
    expect([images.imageCount, images.objectCount]).toEqual([500, 100_000]);
    images.prune('Pod', 2);
    expect(images).toEqual(new WantedImages());
  });
});
