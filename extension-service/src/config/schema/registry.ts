import * as z from 'zod';
import type { RegistryConfig, TargetConfig } from '../../core/config/model.js';
import type { RegistryKind } from '../../kinds/kind.js';
import { REGISTRY_KINDS, REGISTRY_TYPES } from '../../kinds/kinds.js';
import type { FieldMeta } from '../../schema/field.js';
import { described, leaf } from '../../schema/field.js';
import { stringField, matching, platforms, text } from '../../schema/leaves.js';
import { gateSchema } from './gate.js';
import { imageCopyPolicy, imageSwapPolicy } from './policies.js';

const typeMeta: FieldMeta = {
  type: 'choice',
  about: `The registry type: which of the keys ${REGISTRY_TYPES.slice(0, -1).join(', ')} and ${REGISTRY_TYPES.at(-1)} configures the registry.`,
  allowed: `expected one of ${REGISTRY_TYPES.join(', ')}`,
  defaultText: `inferred: whichever of ${REGISTRY_TYPES.join(', ')} is set`,
};

/** A mapping with the settings of one kind, and with the keys in `more`. */
function registry<T extends RegistryConfig>(
  settingsOf: (kind: RegistryKind<unknown>) => z.ZodType,
  more: () => z.ZodRawShape = () => ({}),
): z.ZodType<T> {
  const options = REGISTRY_KINDS.map((kind) =>
    z.strictObject({
      type: leaf(z.literal(kind.type), typeMeta),
      [kind.type]: described(settingsOf(kind), kind.about),
      ...more(),
    }),
  );
  const [first, ...others] = options;
  if (first === undefined) throw new Error('there are no registry kinds');
  // The members of a union that is built from a table have no static types.
  return z.discriminatedUnion('type', [first, ...others]) as z.ZodType as z.ZodType<T>;
}

/** An entry of `source.registries`. */
export const registrySchema = registry<RegistryConfig>(({ schema, sourceSchema }) => sourceSchema ?? schema);

const nameAllowed = 'expected up to 63 letters, digits, ., _ and -';
const nameCheck = matching(/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/, 'name', nameAllowed);

function name(about: string): z.ZodString {
  return text({ about, allowed: nameAllowed }, nameCheck);
}

function paths() {
  const path = stringField(
    { about: 'The path below the target.', allowed: 'expected a path such as docker-hub' },
    () => undefined,
  );
  return described(
    z.record(z.string(), path),
    'The path of each source registry in the target, instead of its host: `{docker.io: docker-hub}`, for pull-through caches. The target takes images of these registries alone.',
  );
}

function options() {
  return {
    match: text({
      about: 'A JMESPath expression over `{obj, container}`; the target takes an image only if it gives `true`.',
      allowed: 'expected a JMESPath expression',
      defaultText: 'matches every image',
    }).exactOptional(),
    imageSwapPolicy: imageSwapPolicy('Overrides the top-level key for this target.').exactOptional(),
    imageCopyPolicy: imageCopyPolicy('Overrides the top-level key for this target.').exactOptional(),
    platforms: platforms('Overrides `mirror.platforms` for this target.').exactOptional(),
    paths: paths().exactOptional(),
    gate: described(
      gateSchema,
      'The checks that an image must pass before it becomes visible in this target; see docs/gates.md.',
    ).exactOptional(),
  };
}

/** `target`: its name is optional. */
export const targetSchema = registry<TargetConfig>(
  ({ schema }) => schema,
  () => ({ name: name('The name used in messages and metrics.').default('default'), ...options() }),
);

/** An entry of `targets`. */
export const namedTargetSchema = registry<TargetConfig>(
  ({ schema }) => schema,
  () => ({ name: name('Unique name, used in messages and metrics.'), ...options() }),
);
