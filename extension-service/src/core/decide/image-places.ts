/** A location where a Pod names an image: a list in its `spec`, and the path of the reference in each entry. */
export interface ImagePlace {
  /** Key of the location in answers (`images.KEY.NAME`) and explanations; unique. */
  readonly key: string;
  /** The list in `spec`. */
  readonly list: string;
  /** The field that contains an entry's name. */
  readonly name: string;
  /** Path of the reference in an entry. */
  readonly image: readonly string[];
  /** Path of the pull policy in an entry. */
  readonly pullPolicy: readonly string[];
  /** The requests that can set the reference. `UPDATE`: only in new entries, through the list's subresource. */
  readonly operations: readonly ('CREATE' | 'UPDATE')[];
  readonly kind: 'container' | 'volume';
}

const CONTAINER = { name: 'name', image: ['image'], pullPolicy: ['imagePullPolicy'], kind: 'container' } as const;

/**
 * Every location, in the order of decisions. Decisions, answers, patches, explanations, the watch and the policies of
 * every engine all use this table.
 */
export const IMAGE_PLACES = [
  { key: 'containers', list: 'containers', operations: ['CREATE'], ...CONTAINER },
  { key: 'initContainers', list: 'initContainers', operations: ['CREATE'], ...CONTAINER },
  { key: 'ephemeralContainers', list: 'ephemeralContainers', operations: ['CREATE', 'UPDATE'], ...CONTAINER },
  {
    key: 'volumes',
    list: 'volumes',
    name: 'name',
    image: ['image', 'reference'],
    pullPolicy: ['image', 'pullPolicy'],
    // The API server rejects all later changes.
    operations: ['CREATE'],
    kind: 'volume',
  },
] as const satisfies readonly ImagePlace[];

export type ImagePlaceKey = (typeof IMAGE_PLACES)[number]['key'];

const BY_KEY: ReadonlyMap<ImagePlaceKey, ImagePlace> = new Map(IMAGE_PLACES.map((place) => [place.key, place]));

export function imagePlace(key: ImagePlaceKey): ImagePlace {
  return BY_KEY.get(key) ?? IMAGE_PLACES[0];
}

/** The locations that a configuration covers: without image volumes if `source.volumes` is false. */
export function placesWith(volumes: boolean): readonly ImagePlace[] {
  return volumes ? IMAGE_PLACES : CONTAINER_PLACES;
}

const CONTAINER_PLACES: readonly ImagePlace[] = IMAGE_PLACES.filter(({ kind }) => kind === 'container');

/** Whether an update of a Pod can add entries here. */
export function takesUpdates({ operations }: ImagePlace): boolean {
  return operations.includes('UPDATE');
}

/** JSON pointer (RFC 6901) of the reference of an entry. */
export function imagePointer({ list, image }: ImagePlace, index: number): string {
  return `/spec/${list}/${index}/${image.join('/')}`;
}

type Entry = Readonly<Record<string, unknown>>;

/** The value at a path of an entry; undefined if there is none. */
export function readPath(entry: Entry, path: readonly string[]): unknown {
  let value: unknown = entry;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    value = (value as Entry)[key];
  }
  return value;
}

/** A copy of an entry with another reference; only for entries that have one. */
export function withImage<E extends Entry>(entry: E, path: readonly string[], image: string): E {
  const [key = '', ...rest] = path;
  return { ...entry, [key]: rest.length === 0 ? image : withImage(entry[key] as Entry, rest, image) };
}
