import { environmentName } from './environment.js';
import type { Field, LeafField } from '../schema/field.js';
import { formatDuration } from '../core/config/duration.js';
import { rootField } from './schema/config.js';

/** A key in the form of the documentation. */
export interface KeyDescription {
  /** `targets[].aws.region` */
  readonly key: string;
  readonly type: string;
  readonly default: string;
  readonly about: string;
  /** Absent inside lists, which have one variable as a whole. */
  readonly environment?: string;
}

/** Every key of the schema, in schema order. */
export function describeKeys(): readonly KeyDescription[] {
  return [...describe(rootField, '', [])];
}

/** The keys as a Markdown table. */
export function keyTable(): string {
  const rows = describeKeys().map(
    ({ key, type, default: value, about, environment }) =>
      `| \`${key}\` | ${type} | ${value} | ${about} | ${environment === undefined ? '' : `\`${environment}\``} |`,
  );
  return ['| key | type | default | meaning | environment |', '|---|---|---|---|---|', ...rows, ''].join('\n');
}

function* describe(field: Field, key: string, path: readonly string[] | undefined): Generator<KeyDescription> {
  if (key !== '') {
    yield {
      key,
      type: typeOf(field),
      default: defaultOf(field),
      about: descriptionOf(field).replaceAll('|', '\\|'),
      ...(path !== undefined && { environment: environmentName(path) }),
    };
  }
  if (field.kind === 'mapping') {
    for (const [name, child] of field.fields) {
      yield* describe(child, key === '' ? name : `${key}.${name}`, path && [...path, name]);
    }
  }
  if (field.kind === 'list' && field.item.kind === 'mapping') {
    for (const [name, child] of field.item.fields) yield* describe(child, `${key}[].${name}`, undefined);
  }
}

/** A list of strings has the description of its items, unless it has its own. */
function descriptionOf(field: Field): string {
  return field.about === '' && field.kind === 'list' ? field.item.about : field.about;
}

function typeOf(field: Field): string {
  switch (field.kind) {
    case 'mapping':
      return 'mapping';
    case 'list':
      return field.item.kind === 'leaf' ? 'list of strings' : 'list';
    case 'map':
      return 'mapping of strings';
    case 'leaf':
      return leafType(field);
  }
}

const TYPE_NAMES: Readonly<Record<Exclude<LeafField['type'], 'choice'>, string>> = {
  text: 'string',
  digits: 'string',
  duration: 'duration',
  number: 'number',
  boolean: 'true, false',
  auto: '`auto`, true, false',
  platforms: '`all` or list',
};

function leafType(field: LeafField): string {
  if (field.type === 'choice') return field.allowed.replace(/^expected one of /, '').replaceAll(/[\w-]+/g, '`$&`');
  return TYPE_NAMES[field.type];
}

function defaultOf(field: Field): string {
  if (field.kind === 'leaf' && field.defaultText !== undefined) return field.defaultText;
  if (field.default === undefined) return field.optional ? '' : 'required';
  if (field.kind === 'mapping') return '';
  if (field.kind === 'leaf' && field.type === 'duration') return `\`${formatDuration(Number(field.default))}\``;
  return `\`${typeof field.default === 'string' ? field.default : JSON.stringify(field.default)}\``;
}
