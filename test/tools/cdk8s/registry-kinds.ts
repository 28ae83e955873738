import type { Field, LeafField } from '../../../extension-service/src/schema/field.js';
import { fieldAt } from '../../../extension-service/src/schema/field.js';
import { rootField } from '../../../extension-service/src/config/schema/config.js';
import type { RegistryKind } from '../../../extension-service/src/kinds/kind.js';
import { REGISTRY_KINDS } from '../../../extension-service/src/kinds/kinds.js';

/**
 * Renders `cdk8s/src/registry-kinds.ts`, the registry kinds for the constructs. The file contains the naming of each
 * kind, but not its schema. Its published types refer only to the package itself.
 */
export function registryKinds(): string {
  const types = REGISTRY_KINDS.map(({ type }) => type);
  const words = sentence(types);
  return [
    '// Written by "npm run generate" from extension-service/src/kinds; do not edit.',
    ...types.map((type) => `import { ${type}Naming } from '../../extension-service/src/kinds/${type}/naming.js';`),
    "import type { KindNaming } from './kind-naming.js';",
    '',
    `/** A registry; one of ${words} is set. */`,
    'export interface SwapperRegistry {',
    `  /** @default inferred: whichever of ${words} is set */`,
    `  readonly type?: ${types.map((type) => `'${type}'`).join(' | ')};`,
    ...REGISTRY_KINDS.flatMap(member),
    '}',
    '',
    '/** How the registries of each kind name images, by their `type`. */',
    'export const NAMINGS: ReadonlyMap<string, KindNaming> = new Map<string, KindNaming>([',
    ...types.map((type) => `  ['${type}', ${type}Naming],`),
    ']);',
    '',
  ].join('\n');
}

const DIGITS = 'Digits, as text: a number loses leading zeros.';

function member({ type, naming }: RegistryKind<unknown>): string[] {
  const read = new Map<string, string>(Object.entries(naming.reads));
  return [
    `  /** ${fieldOf(type).about} */`,
    `  readonly ${type}?: {`,
    ...[...read].flatMap(([key, value]) => {
      const field = fieldOf(type, key);
      const optional = value === 'path' || value === 'choice' ? '?' : '';
      const about = field.kind === 'leaf' && field.type === 'digits' ? `${field.about} ${DIGITS}` : field.about;
      return [`    /** ${about} */`, `    readonly ${key}${optional}: ${typeOf(field)};`];
    }),
    '    /** Other keys that the service reads. */',
    '    readonly [key: string]: unknown;',
    '  };',
  ];
}

function fieldOf(...path: string[]): Field {
  const field = fieldAt(rootField, ['target', ...path]);
  if (field === undefined) throw new Error(`target.${path.join('.')} is not in the schema`);
  return field;
}

function typeOf(field: Field): string {
  const { choices } = field as LeafField;
  return choices === undefined ? 'string' : choices.map((choice) => `'${choice}'`).join(' | ');
}

function sentence(words: readonly string[]): string {
  return [words.slice(0, -1).join(', '), ...words.slice(-1)].join(' and ');
}
