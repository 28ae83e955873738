import type { TypeName } from './values.js';

/**
 * Objects and lists of the filter context whose fields are known. `context` is the root, which has `obj` (the Pod) and
 * `container`; `texts` is a map of strings, such as labels.
 */
export type ShapeName =
  'context' | 'pod' | 'metadata' | 'texts' | 'spec' | 'containers' | 'container' | 'owners' | 'owner';

/** The possible types of a value. A shape stands for an object or an array. */
export type PossibleType = TypeName | ShapeName;
export type PossibleTypes = ReadonlySet<PossibleType>;

interface Shape {
  readonly is: 'object' | 'array';
  /** Its name in messages. */
  readonly title: string;
  /** No other fields exist; otherwise Kubernetes may add some. */
  readonly closed: boolean;
  readonly fields: ReadonlyMap<string, PossibleTypes>;
  /** The type of every element of an array, or of every value of a map. */
  readonly elements?: PossibleTypes;
}

export const ANY: PossibleTypes = types('null', 'boolean', 'number', 'string', 'array', 'object', 'expression');
export const NULL: PossibleTypes = types('null');
const TEXT = types('string', 'null');
const CONTAINERS = types('containers', 'null');
const TEXTS = types('texts', 'null');

const OBJECT_META = {
  ...texts('name', 'generateName', 'namespace', 'uid', 'selfLink', 'resourceVersion', 'clusterName'),
  ...texts('creationTimestamp', 'deletionTimestamp'),
  labels: TEXTS,
  annotations: TEXTS,
  ownerReferences: types('owners', 'null'),
  generation: ANY,
  deletionGracePeriodSeconds: ANY,
  finalizers: ANY,
  managedFields: ANY,
};

const POD_SPEC = {
  containers: CONTAINERS,
  initContainers: CONTAINERS,
  ephemeralContainers: CONTAINERS,
  nodeSelector: TEXTS,
  ...texts('serviceAccountName', 'serviceAccount', 'nodeName', 'schedulerName', 'priorityClassName', 'hostname'),
  ...texts('runtimeClassName', 'restartPolicy', 'dnsPolicy', 'preemptionPolicy', 'subdomain'),
};

/** The stable parts of ObjectMeta, Pod and Container. An open shape lists only fields of one type. */
const SHAPES: ReadonlyMap<string, Shape> = new Map<ShapeName, Shape>([
  ['context', object('the root', true, { obj: types('pod'), container: types('container') })],
  [
    'pod',
    object('a Pod', true, {
      ...texts('apiVersion', 'kind'),
      metadata: types('metadata', 'null'),
      spec: types('spec', 'null'),
      status: ANY,
    }),
  ],
  ['metadata', object('metadata', true, OBJECT_META)],
  ['texts', { ...object('a map of strings', false, {}), elements: TEXT }],
  ['spec', object('the spec of a Pod', false, POD_SPEC)],
  ['containers', { ...object('a list of containers', true, {}), is: 'array', elements: types('container') }],
  ['container', object('a container', false, texts('name', 'image', 'imagePullPolicy', 'workingDir'))],
  ['owners', { ...object('a list of owners', true, {}), is: 'array', elements: types('owner') }],
  ['owner', object('an owner', false, texts('apiVersion', 'kind', 'name', 'uid'))],
]);

/** Undefined for a type whose fields are not known. */
export function shapeOf(type: PossibleType): Shape | undefined {
  return SHAPES.get(type);
}

/** The JSON type of a shape. */
export function baseOf(type: PossibleType): TypeName {
  return SHAPES.get(type)?.is ?? (type as TypeName);
}

/** The JSON types without their shapes. */
export function baseTypes(possible: PossibleTypes): ReadonlySet<TypeName> {
  return new Set([...possible].map(baseOf));
}

/** The possible types of a field of such a value. */
export function fieldTypes(name: string, input: PossibleTypes): PossibleTypes {
  if (input.size === 0 || input === ANY) return input;
  return union(
    [...input].map((type) => {
      if (type === 'object') return ANY;
      const shape = SHAPES.get(type);
      if (shape?.is !== 'object') return NULL;
      return shape.fields.get(name) ?? shape.elements ?? (shape.closed ? NULL : ANY);
    }),
  );
}

/** The types of an array's elements, or of an object's values. */
export function elementTypes(source: PossibleTypes): PossibleTypes {
  const known = [...source].filter((type) => type !== 'null').map((type) => SHAPES.get(type)?.elements);
  return known.length > 0 && known.every((elements) => elements !== undefined) ? union(known) : ANY;
}

export function union(sets: readonly PossibleTypes[]): PossibleTypes {
  return new Set(sets.flatMap((set) => [...set]));
}

function types(...names: readonly PossibleType[]): PossibleTypes {
  return new Set(names);
}

function texts(...names: readonly string[]): Readonly<Record<string, PossibleTypes>> {
  return Object.fromEntries(names.map((name) => [name, TEXT]));
}

function object(title: string, closed: boolean, fields: Readonly<Record<string, PossibleTypes>>): Shape {
  return { is: 'object', title, closed, fields: new Map(Object.entries(fields)) };
}
