import type { Field, LeafField, MappingField } from '../../../extension-service/src/schema/field.js';
import { rootField } from '../../../extension-service/src/config/schema/config.js';
import { REGISTRY_ALLOWED } from '../../../extension-service/src/core/naming/host-fault.js';

export type JsonSchema = Readonly<Record<string, unknown>>;

/** JSON Schema (draft 7) of the chart's `config`: types, choices and names. The service checks everything else. */
export function configJsonSchema(): JsonSchema {
  if (rootField.kind !== 'mapping') throw new Error('the configuration is not a mapping');
  return {
    ...mapping(rootField),
    description: 'The configuration of the service; every key is in docs/configuration.md.',
  };
}

function schemaOf(field: Field): JsonSchema {
  switch (field.kind) {
    case 'mapping':
      return mapping(field);
    case 'list':
      return { type: 'array', items: schemaOf(field.item), ...about(field) };
    case 'map':
      return { type: 'object', additionalProperties: schemaOf(field.item), ...about(field) };
    case 'leaf':
      return { ...leaf(field), ...about(field) };
  }
}

function mapping(field: MappingField): JsonSchema {
  const variants = field.variants ?? [];
  const required = [...field.fields].filter(
    // A registry has the keys of only one type, so no key of a type is required.
    ([key, { optional }]) => !optional && !variants.includes(key) && !(variants.length > 0 && key === 'type'),
  );
  return {
    type: 'object',
    properties: Object.fromEntries([...field.fields].map(([key, child]) => [key, schemaOf(child)])),
    additionalProperties: false,
    ...(required.length > 0 && { required: required.map(([key]) => key) }),
    ...about(field),
  };
}

function leaf(field: LeafField): JsonSchema {
  switch (field.type) {
    case 'boolean':
      return { type: 'boolean' };
    case 'auto':
      return { anyOf: [{ const: 'auto' }, { type: 'boolean' }] };
    case 'number':
      return { type: 'integer' };
    case 'digits':
      // `--set` and values files turn digits into numbers; the chart converts them back to strings.
      return { type: ['string', 'number'], pattern: '^[0-9]+$' };
    case 'choice':
      return field.choices === undefined ? { type: 'string' } : { enum: field.choices };
    case 'duration':
      return { type: 'string', pattern: '^[0-9.]+(?:ns|us|µs|ms|s|m|h)(?:[0-9.]+(?:ns|us|µs|ms|s|m|h))*$' };
    case 'platforms':
      return { anyOf: [{ const: 'all' }, { type: 'array', items: { type: 'string' }, minItems: 1 }] };
    case 'text':
      // A scheme and a path are the most common mistakes. The chart's templates and the service check the rest.
      return { type: 'string', ...(field.allowed === REGISTRY_ALLOWED && { pattern: '^[^/]*$' }) };
  }
}

function about(field: Field): JsonSchema {
  return field.about === '' ? {} : { description: field.about };
}
