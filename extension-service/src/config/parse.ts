import type { Config } from '../core/config/model.js';
import { compileFilter } from '../core/filters/compile.js';
import { Cleaner } from './clean.js';
import { dialectOf } from './dialect.js';
import { overlay } from './environment.js';
import { REGISTRY_KINDS } from '../kinds/kinds.js';
import { fieldOf } from '../schema/field.js';
import type { Field, MappingField } from '../schema/field.js';
import { reportIssues } from './issues.js';
import { originsOf } from './origins.js';
import { parsePartly } from '../schema/parsed.js';
import type { ConfigProblem, Place } from './problem.js';
import { ConfigError, Problems } from './problem.js';
import type { CompileExpression, ParsedConfig } from './rules/context.js';
import { RuleContext } from './rules/context.js';
import { checkAccess } from './rules/access.js';
import { checkExpressions } from './rules/expressions.js';
import { checkGates } from './rules/gates.js';
import { checkGc } from './rules/gc.js';
import { checkRegistries } from './rules/registries.js';
import { checkEngine } from './rules/engine.js';
import { checkService } from './rules/service.js';
import { checkTargets } from './rules/targets.js';
import type { ConfigSchema } from './schema/config.js';
import { configSchema, rootField } from './schema/config.js';
import type { MappingNode, Path, TreeNode } from './tree.js';
import { nodeAt, toPlain } from './tree.js';
import { settleVariants } from './variants.js';
import { readYaml } from './yaml.js';

/** A valid configuration. */
export interface LoadedConfig {
  readonly config: Config;
  readonly warnings: readonly ConfigProblem[];
  /** For each value, by its dotted key: `flag`, `environment NAME`, `file:line` or `default`. */
  readonly origins: ReadonlyMap<string, string>;
  /** The file's absolute path; absent when there is none. */
  readonly file?: string;
  /** The content of the file. */
  readonly text?: string;
}

export interface ConfigInput {
  readonly text: string;
  /** The file's name in messages; it determines the dialect. */
  readonly file: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Dotted keys; an undefined value was not given. */
  readonly flags?: Readonly<Record<string, unknown>>;
  /** Whether the text may be Helm values, whose `config` is then read. @default false */
  readonly helmValues?: boolean;
}

/**
 * Reads a configuration: flags override the environment, which overrides the file, which overrides defaults. No I/O.
 * @throws ConfigError with every problem, and no other error for any text
 */
export function parseConfig(input: ConfigInput, compile?: CompileExpression): LoadedConfig {
  return parseTree(input, compile).loaded;
}

/** The same, with the tree that the configuration was read from, for checks that need I/O. */
export function parseTree(
  input: ConfigInput,
  compile: CompileExpression = compileFilter,
  schema: ConfigSchema = configSchema,
): { readonly loaded: LoadedConfig; readonly tree: MappingNode } {
  const { text, file, env = {}, flags = {}, helmValues = false } = input;
  const dialect = dialectOf(file);
  const problems = new Problems();
  const root = mappingOf(schema === configSchema ? rootField : fieldOf(schema));
  const written = readYaml({ text, file, lenient: dialect === 'k8s-image-swapper' }, problems);
  // Broken YAML has lost an unknown part of its keys, so further problems would be guesses.
  if (written === undefined) throwErrors(problems, file);
  const start: Place = { file, line: 1, column: 1 };
  const fromFile = asMapping(written, start, problems);
  if (fromFile === undefined) throw new ConfigError(problems.list('error', file));
  const inValues = configInValues(fromFile);
  if (inValues !== undefined && !helmValues) {
    problems.error(inValues.place, 'config', "this looks like the chart's Helm values", VALUES_HINT);
    throw new ConfigError(problems.list('error', file));
  }
  const cleaned = new Cleaner(dialect, problems).clean(inValues?.node ?? fromFile, root, []);
  const merged = overlay(cleaned?.kind === 'mapping' ? cleaned : fromFile, root, env, flags, problems);
  const { tree, undecided: unsettled } = settleVariants(merged, root, dialect, problems);

  const plain = toPlain(tree);
  const result = schema.safeParse(plain);
  const within = (outer: Path, path: readonly PropertyKey[]) => outer.every((part, index) => part === path[index]);
  const issues = (result.error?.issues ?? []).filter(({ path }) => !unsettled.some((outer) => within(outer, path)));
  reportIssues(issues, tree, root, problems);
  for (const path of unsettled) checkMembers(tree, path, root, problems);
  const reading: ParsedConfig = {
    config: result.data ?? parsePartly(schema, plain) ?? {},
    refused: (result.error?.issues ?? []).map(({ path }) =>
      path.map((part) => (typeof part === 'number' ? part : String(part))),
    ),
  };
  checkRules(new RuleContext(reading, tree, dialect, problems, compile));

  throwErrors(problems, file);
  if (!result.success) {
    problems.error(start, '', 'this configuration cannot be used');
    throw new ConfigError(problems.list('error', file));
  }
  const { data: config } = result;
  return { loaded: { config, warnings: problems.list('warning', file), origins: originsOf(config, tree) }, tree };
}

const VALUES_HINT =
  "the service's file holds the keys under config: at its top level; image-swapper check FILE also reads Helm values";

/** The service's configuration in Helm values of our chart; undefined if the tree is a configuration itself. */
function configInValues(tree: MappingNode): { readonly place: Place; readonly node: MappingNode } | undefined {
  const entry = tree.entries.get('config');
  const own = ['target', 'targets', 'source'];
  if (entry?.node.kind !== 'mapping' || own.some((key) => tree.entries.has(key))) return undefined;
  return { place: entry.place, node: entry.node };
}

/** Checks the rules that involve several keys. */
function checkRules(context: RuleContext): void {
  checkRegistries(context);
  checkExpressions(context);
  checkTargets(context);
  checkGates(context);
  checkGc(context);
  checkService(context);
  checkEngine(context);
  checkAccess(context);
}

/** Checks what is possible for a registry without a type. */
function checkMembers(tree: MappingNode, path: Path, root: Field, problems: Problems): void {
  for (const { type, schema } of REGISTRY_KINDS) {
    const member = [...path, type];
    const node = nodeAt(tree, member);
    if (node === undefined) continue;
    reportIssues(schema.safeParse(toPlain(node)).error?.issues ?? [], tree, root, problems, member);
  }
}

function throwErrors(problems: Problems, file: string): void {
  const errors = problems.list('error', file);
  if (errors.length > 0) throw new ConfigError(errors);
}

function mappingOf(field: Field): MappingField {
  if (field.kind !== 'mapping') throw new Error('the configuration schema is not a mapping');
  return field;
}

/** The file's root; an empty file has no keys. */
function asMapping(node: TreeNode | undefined, start: Place, problems: Problems): MappingNode | undefined {
  if (node === undefined || (node.kind === 'scalar' && node.value === null)) {
    return { kind: 'mapping', entries: new Map(), place: start, origin: 'default' };
  }
  if (node.kind === 'mapping') return { ...node, place: start };
  const kind = node.kind === 'list' ? 'a list' : 'a single value';
  problems.error(node.place, '', `the file is ${kind}, not a mapping`, 'write key: value lines');
  return undefined;
}
