import { describe, expect, it } from 'vitest';
import { CompleteImages, selectionKey } from '../../../extension-service/src/registry/complete-images.js';

const HOUR = 3_600_000;
const IMAGE = `registry.test/app@sha256:${'a'.repeat(64)}`;

describe('images that an earlier run found complete', () => {
  it.each([
    ['of a moment ago is fresh', 0, true],
    ['of less than half an interval ago is fresh', 11 * HOUR, true],
    ['of an interval ago is looked at again', 24 * HOUR, false],
    ['of the future is looked at: the clock was set back', -1, false],
  ])('%s', (_, age, fresh) => {
    const images = new CompleteImages({ images: [{ image: IMAGE, at: 100 * HOUR }], interval: 24 * HOUR }, () => {
      return 100 * HOUR + age;
    });
    expect(images.isFresh(IMAGE)).toBe(fresh);
    expect(images.isFresh(`${IMAGE}b`)).toBe(false);
  });

  it('that were found together are checked again at different times, after half an interval to a full one', () => {
    const names = Array.from({ length: 200 }, (_, index) => `registry.test/app@sha256:${index}`);
    let now = 0;
    const known = names.map((image) => ({ image, at: 0 }));
    const images = new CompleteImages({ images: known, interval: 24 * HOUR }, () => now);
    const freshAt = (hours: number): number => {
      now = hours * HOUR;
      return names.filter((name) => images.isFresh(name)).length;
    };
    expect(freshAt(12)).toBe(200);
    const [early, late] = [freshAt(15), freshAt(21)];
    expect(early).toBeLessThan(200);
    expect(late).toBeLessThan(early);
    expect(late).toBeGreaterThan(0);
    expect(freshAt(24)).toBe(0);
  });

  it('do not count once they are marked uncertain, but are still known', () => {
    const images = new CompleteImages({ images: [], interval: HOUR }, () => 100 * HOUR);
    expect(images.isKnown(IMAGE)).toBe(false);
    images.note(IMAGE, undefined);
    expect(images.isFresh(IMAGE)).toBe(true);
    images.markUncertain(IMAGE);
    expect([images.isKnown(IMAGE), images.isFresh(IMAGE)]).toEqual([true, false]);
    expect(images.all()).toEqual([{ image: IMAGE, at: 0 }]);
  });
});

it('an index of several platforms is the same for any order of their names', () => {
  expect(selectionKey('sha256:a', ['linux/arm64', 'linux/amd64', 'linux/arm64'])).toBe(
    selectionKey('sha256:a', ['linux/amd64', 'linux/arm64']),
  );
  expect(selectionKey('sha256:a', ['linux/amd64'])).not.toBe(selectionKey('sha256:b', ['linux/amd64']));
});
