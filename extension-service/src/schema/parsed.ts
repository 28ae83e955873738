import * as z from 'zod';

/** A value without the keys that its schema rejects. List entries keep their indexes. */
export type Parsed<T> = T extends readonly (infer Item)[]
  ? readonly (Parsed<Item> | undefined)[]
  : T extends object
    ? { readonly [Key in keyof T]?: Parsed<T[Key]> | undefined }
    : T;

/**
 * Reads the valid part of a value that its schema rejects, including defaults, so that one mistake does not hide
 * others. A missing key is either optional and not written, or was rejected.
 */
export function parsePartly<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): Parsed<z.output<Schema>> | undefined {
  return parts(schema, value) as Parsed<z.output<Schema>> | undefined;
}

function parts(schema: z.core.$ZodType, value: unknown): unknown {
  const result = z.safeParse(schema, value);
  if (result.success) return result.data;
  const { def } = schema._zod as { readonly def: z.core.$ZodTypes['_zod']['def'] };
  switch (def.type) {
    case 'optional':
    case 'default':
    case 'prefault':
    case 'readonly':
      return parts(def.innerType, value);
    case 'pipe':
      // The rest of a mapping needs no transformation; nothing remains of a single value.
      return isMapping(value) ? parts(def.in, value) : undefined;
    case 'array':
      return Array.isArray(value) ? value.map((item) => parts(def.element, item)) : undefined;
    case 'object':
      return isMapping(value) ? fieldsOf(def.shape, value) : undefined;
    case 'union': {
      const shape = isMapping(value) ? shapeOfUnion(def.options, value) : undefined;
      return isMapping(value) && shape !== undefined ? fieldsOf(shape, value) : undefined;
    }
    default:
      return undefined;
  }
}

function fieldsOf(shape: z.core.$ZodShape, value: Readonly<Record<string, unknown>>): unknown {
  return Object.fromEntries(
    Object.entries(shape).flatMap(([key, schema]) => {
      const field = parts(schema, value[key]);
      return field === undefined ? [] : [[key, field]];
    }),
  );
}

/** The keys of the member that `type` names; those of all members if it names none. */
function shapeOfUnion(
  options: readonly z.core.$ZodType[],
  value: Readonly<Record<string, unknown>>,
): z.core.$ZodShape | undefined {
  const shapes = options.flatMap((option) => {
    const { def } = option._zod as { readonly def: z.core.$ZodTypes['_zod']['def'] };
    return def.type === 'object' ? [def.shape] : [];
  });
  if (shapes.length === 0) return undefined;
  const named = shapes.find(({ type }) => type !== undefined && z.safeParse(type, value['type']).success);
  return named ?? (Object.assign({}, ...shapes.toReversed()) as z.core.$ZodShape);
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
