import * as z from 'zod';

// zod would compile a function for each schema, which costs more time and memory than one parse. It reads the setting
// when a schema is created, and every schema imports this file.
z.config({ jitless: true });

/** Facts about a key that the loader, the documentation and the printer need in addition to its schema. */
export interface FieldMeta {
  readonly type: LeafType;
  /** One sentence for users. */
  readonly about: string;
  /** Allowed values, for messages and documentation: `a region such as eu-central-1`. */
  readonly allowed: string;
  /** `all`: never shown. `password`: a URL, whose password is never shown. */
  readonly secret?: 'all' | 'password';
  /** The default in words, if it isn't a constant. */
  readonly defaultText?: string;
}

/** `digits`: text that users write as a number. `auto`: `auto` or a boolean. `platforms`: `all` or a list. */
export type LeafType = 'text' | 'digits' | 'choice' | 'duration' | 'number' | 'boolean' | 'auto' | 'platforms';

/** A key, read from its schema. */
export type Field = LeafField | ListField | MappingField | MapField;

interface Common {
  readonly about: string;
  readonly optional: boolean;
  /** The value of an unset key; undefined for none. */
  readonly default: unknown;
}

export interface LeafField extends Common, FieldMeta {
  readonly kind: 'leaf';
  readonly choices?: readonly string[];
}

export interface ListField extends Common {
  readonly kind: 'list';
  readonly item: Field;
}

/** A mapping whose keys are the user's own. */
export interface MapField extends Common {
  readonly kind: 'map';
  readonly item: Field;
}

export interface MappingField extends Common {
  readonly kind: 'mapping';
  readonly fields: ReadonlyMap<string, Field>;
  /** Exactly one of these keys is set, which the key `type` names. */
  readonly variants?: readonly string[];
}

const leaves = z.registry<FieldMeta>();
const descriptions = z.registry<{ readonly about: string }>();

/** Attaches the result of {@link fieldOf}. */
export function leaf<T extends z.ZodType>(schema: T, meta: FieldMeta): T {
  leaves.add(schema, meta);
  return schema;
}

/** The same for lists and mappings. */
export function described<T extends z.ZodType>(schema: T, about: string): T {
  descriptions.add(schema, { about });
  return schema;
}

/** Reads the keys from a schema of objects, arrays, unions by `type` and {@link leaf}s. */
export function fieldOf(schema: z.core.$ZodType): Field {
  return read(schema, { about: '', optional: false, default: undefined });
}

function read(schema: z.core.$ZodType, common: Common): Field {
  const meta = leaves.get(schema as z.ZodType);
  const about = common.about || (descriptions.get(schema as z.ZodType)?.about ?? '');
  const { def } = schema._zod as { readonly def: z.core.$ZodTypes['_zod']['def'] };
  if (meta !== undefined) {
    return {
      kind: 'leaf',
      ...common,
      ...meta,
      ...(def.type === 'enum' && { choices: Object.values(def.entries).map(String) }),
    };
  }
  switch (def.type) {
    case 'optional':
      return read(def.innerType, { ...common, about, optional: true });
    case 'default':
    case 'prefault':
      return read(def.innerType, { ...common, about, optional: true, default: def.defaultValue });
    case 'readonly':
      return read(def.innerType, { ...common, about });
    case 'pipe':
      return read(def.in, { ...common, about });
    case 'array':
      return { kind: 'list', ...common, about, item: fieldOf(def.element) };
    case 'record':
      return { kind: 'map', ...common, about, item: fieldOf(def.valueType) };
    case 'object':
      return {
        kind: 'mapping',
        ...common,
        about,
        fields: new Map(Object.entries(def.shape).map(([key, value]) => [key, fieldOf(value)])),
      };
    case 'union':
      return { ...unionOf(def.options.map(fieldOf)), ...common, about };
    default:
      throw new Error(`the configuration schema has a ${def.type} without a description`);
  }
}

/** All keys of all members in one mapping. */
function unionOf(members: readonly Field[]): MappingField {
  const fields = new Map<string, Field>();
  const mappings = members.filter((member) => member.kind === 'mapping');
  for (const member of mappings) for (const [key, field] of member.fields) if (!fields.has(key)) fields.set(key, field);
  const variants = [...fields].flatMap(([key, field]) =>
    field.kind === 'mapping' && mappings.some((member) => !member.fields.has(key)) ? [key] : [],
  );
  return { kind: 'mapping', about: '', optional: false, default: undefined, fields, variants };
}

/** The field at a path, which may contain list indexes. */
export function fieldAt(root: Field, path: readonly (string | number)[]): Field | undefined {
  return path.reduce<Field | undefined>((field, part) => {
    if (field?.kind === 'list' && typeof part === 'number') return field.item;
    if (field?.kind === 'map' && typeof part === 'string') return field.item;
    return field?.kind === 'mapping' ? field.fields.get(String(part)) : undefined;
  }, root);
}
