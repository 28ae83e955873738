import { describe, expect, it } from 'vitest';
import {
  IMAGE_PLACES,
  imagePlace,
  imagePointer,
  readPath,
  takesUpdates,
  withImage,
} from '../../../extension-service/src/core/decide/image-places.js';

describe('the places where a Pod names an image', () => {
  it('have unique keys, by which they are found', () => {
    expect(new Set(IMAGE_PLACES.map(({ key }) => key)).size).toBe(IMAGE_PLACES.length);
    for (const place of IMAGE_PLACES) expect(imagePlace(place.key)).toBe(place);
  });

  it('are set at creation, and only ephemeral containers later', () => {
    for (const { operations } of IMAGE_PLACES) expect(operations).toContain('CREATE');
    expect(IMAGE_PLACES.filter(takesUpdates).map(({ key }) => key)).toEqual(['ephemeralContainers']);
  });

  it.each(IMAGE_PLACES)('$key: reads, replaces and points to the same field', (place) => {
    const other = {
      ...(place.image.reduceRight<unknown>((inner, key) => ({ [key]: inner, more: 1 }), 'a:1') as object),
    };
    const entry = { ...other, name: 'x' };
    expect(readPath(entry, place.image)).toBe('a:1');
    const changed = withImage(entry, place.image, 'b:2');
    expect(readPath(changed, place.image)).toBe('b:2');
    expect(JSON.stringify(changed)).toBe(JSON.stringify(entry).replace('a:1', 'b:2'));
    expect(readPath(entry, place.image)).toBe('a:1');
    expect(imagePointer(place, 3)).toBe(`/spec/${place.list}/3/${place.image.join('/')}`);
  });

  it.each([null, 'text', 7, [], {}, { reference: [] }])('read nothing below %j', (image) => {
    expect(readPath({ image }, ['image', 'reference', 'deeper'])).toBeUndefined();
  });
});
