import type { Field, MappingField } from '../schema/field.js';
import { Cleaner, fromText } from './clean.js';
import type { Place, Problems } from './problem.js';
import { didYouMean, suggest } from './suggest.js';
import type { MappingNode, ScalarNode, TreeNode } from './tree.js';
import { formatPath, setAt } from './tree.js';
import { readYaml } from './yaml.js';

const prefix = 'IMAGE_SWAPPER_';

/**
 * The variable of a key: `target.aws.accountId` is `IMAGE_SWAPPER_TARGET_AWS_ACCOUNT_ID`. Keys inside lists have none;
 * the whole list has one.
 */
export function environmentName(path: readonly string[]): string {
  return `${prefix}${path.map((key) => key.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toUpperCase()).join('_')}`;
}

/** Viper's form, which does not separate words: `IMAGE_SWAPPER_TARGET_AWS_ACCOUNTID`. */
function viperName(path: readonly string[]): string {
  return `${prefix}${path.join('_').toUpperCase()}`;
}

/** Every key that can be set by a variable or a flag: keys of mappings, not keys inside lists. */
export function* keysOf(
  field: MappingField,
  path: readonly string[] = [],
): Generator<readonly [readonly string[], Field]> {
  for (const [key, child] of field.fields) {
    yield [[...path, key], child];
    if (child.kind === 'mapping') yield* keysOf(child, [...path, key]);
  }
}

interface SettableKey {
  readonly path: readonly string[];
  readonly field: Field;
  readonly name: string;
  readonly viperName: string;
}

const settable = new WeakMap<MappingField, readonly SettableKey[]>();

/** The keys of the schema with their variables, computed once. Mappings come before their members. */
function settableKeys(root: MappingField): readonly SettableKey[] {
  let keys = settable.get(root);
  if (keys === undefined) {
    keys = [...keysOf(root)].map(([path, field]) => {
      return { path, field, name: environmentName(path), viperName: viperName(path) };
    });
    settable.set(root, keys);
  }
  return keys;
}

/**
 * Variables that Kubernetes adds to every container's environment for each Service, here for Services named
 * image-swapper or image-swapper-something (kubelet, "environment variables" of Services).
 */
const serviceLink = /_SERVICE_(?:HOST|PORT)(?:_[A-Z0-9_]+)?$|_PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PORT|PROTO|ADDR))?)?$/;

interface Overlay {
  readonly path: readonly string[];
  readonly field: Field;
  readonly text: string;
  readonly place: Place;
  readonly origin: string;
}

/** Applies values of the environment, then of flags, to a cleaned tree. */
export function overlay(
  tree: MappingNode,
  root: MappingField,
  env: Readonly<Record<string, string | undefined>>,
  flags: Readonly<Record<string, unknown>>,
  problems: Problems,
): MappingNode {
  const overlays = [...fromEnvironment(root, env, problems), ...fromFlags(root, flags, problems)];
  return overlays.reduce((result, one) => {
    const node = read(one, problems);
    return node === undefined ? result : setAt(result, one.path, node, node.place);
  }, tree);
}

function fromEnvironment(
  root: MappingField,
  env: Readonly<Record<string, string | undefined>>,
  problems: Problems,
): readonly Overlay[] {
  const found: Overlay[] = [];
  const names = new Set<string>();
  // The more specific variable wins, because it comes later.
  for (const { path, field, name, viperName: other } of settableKeys(root)) {
    names.add(name).add(other);
    const used = [name, other].find((candidate) => (env[candidate] ?? '') !== '');
    if (used === undefined) continue;
    const place = { file: `environment ${used}`, line: 1, column: 1 };
    found.push({ path, field, text: env[used] ?? '', place, origin: place.file });
    if (used !== other && (env[other] ?? '') !== '' && env[other] !== env[used]) {
      const otherPlace = { file: `environment ${other}`, line: 1, column: 1 };
      problems.warning(otherPlace, formatPath(path), `is ignored, because ${name} is set`);
    }
  }
  for (const name of Object.keys(env)) {
    if (!name.startsWith(prefix) || names.has(name) || serviceLink.test(name)) continue;
    const place = { file: `environment ${name}`, line: 1, column: 1 };
    const suggestion = suggest(
      name.slice(prefix.length),
      [...names].map((known) => known.slice(prefix.length)),
    );
    const hint = didYouMean(suggestion === undefined ? undefined : `${prefix}${suggestion}`);
    problems.warning(place, '', `no configuration key has this variable${hint}`);
  }
  return found;
}

function fromFlags(
  root: MappingField,
  flags: Readonly<Record<string, unknown>>,
  problems: Problems,
): readonly Overlay[] {
  const keys = new Map(settableKeys(root).map(({ path, field }) => [path.join('.'), { path, field }]));
  return Object.entries(flags).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const place = { file: `flag ${flagName(name, value)}`, line: 1, column: 1 };
    const key = keys.get(name);
    if (key === undefined) {
      problems.error(place, '', `no configuration key has this flag${didYouMean(suggest(name, keys.keys()))}`);
      return [];
    }
    const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
    return [{ ...key, text, place, origin: 'flag' }];
  });
}

/** Three keys have their own flags, all others use --set; the value of --dry-run is never text. */
function flagName(key: string, value: unknown): string {
  if (key === 'dryRun' && typeof value === 'string') return '--set dryRun';
  const own: Readonly<Record<string, string>> = {
    dryRun: '--dry-run',
    logLevel: '--log-level',
    logFormat: '--log-format',
  };
  return own[key] ?? `--set ${key}`;
}

/**
 * Converts a text to the key's kind of value: lists of strings may use commas, and everything else that isn't a string
 * is YAML.
 */
function read({ path, field, text, place, origin }: Overlay, problems: Problems): TreeNode | undefined {
  const scalar: ScalarNode = {
    kind: 'scalar',
    value: text,
    source: text,
    place,
    origin,
    locate: (offset) => locate(text, offset, place),
  };
  if (field.kind === 'leaf' && !(field.type === 'platforms' && text !== 'all')) return fromText(scalar, field);
  const simple = field.kind === 'leaf' || (field.kind === 'list' && field.item.kind === 'leaf');
  if (simple && !/^\s*\[/.test(text)) {
    const items = text.split(',').flatMap((part) => {
      const value = part.trim();
      return value === '' ? [] : [{ ...scalar, value, source: value }];
    });
    return { kind: 'list', items, place, origin };
  }
  const node = readYaml({ text, file: place.file, origin }, problems);
  return node && new Cleaner('strict', problems).clean(node, field, path);
}

function locate(text: string, offset: number, { file }: Place): Place {
  const before = text.slice(0, offset).split('\n');
  return { file, line: before.length, column: (before.at(-1) ?? '').length + 1 };
}
