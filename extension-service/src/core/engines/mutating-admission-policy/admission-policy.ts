import { hashAnnotation } from '../../policies/config-hash.js';
import { celString } from '../../policies/literals.js';
import type {
  CelCondition,
  MutatingAdmissionPolicyBindingObject,
  MutatingAdmissionPolicyObject,
} from '../../policies/objects.js';
import {
  checkFilters,
  namespacesExcept,
  policyMetadata,
  resolveNames,
  resolvePodOptions,
} from '../../policies/options.js';
import type { PodOptions, PolicyOptions } from '../../policies/options.js';
import { POD_RULES } from '../../policies/pod-conditions.js';
import { InvalidPolicyOptionError } from '../../policies/problem.js';
import { imagePrefixes } from '../../naming/target.js';
import type { DecidedTarget } from '../engine.js';
import { computedNames, namesUnderPaths } from './computed-names.js';
import { imageTable } from './image-table.js';
import type { ImageTable } from './image-table.js';
import { filterConditions, matchConditions, MAX_EXPRESSION_CHARACTERS, undecidedBy } from './limits.js';
import type { Undecidable } from './limits.js';
import { placeVariables } from './places.js';
import { missesPlatform, PLATFORM_VARIABLES } from './platforms.js';
import { keysOf } from './reference-cel.js';
import { entriesHash, TABLE_HASH_ANNOTATION, tableHash } from './table-hash.js';

export interface MutatingAdmissionOptions extends Omit<PolicyOptions, 'url' | 'timeoutSeconds'> {
  /** In the order in which they are tried. */
  readonly targets: readonly DecidedTarget[];
  /** The configuration's `source.filters`. Default: none, for policies without a configuration. */
  readonly filters?: readonly string[];
  /** Of the configuration; default: that of these options. */
  readonly hash?: string;
  /** Other configuration keys that the policy depends on. */
  readonly pods?: PodOptions;
  /** The images in the targets. Absent: none, so only targets with `always` swap. */
  readonly table?: ImageTable;
  /** The table holds only images that every Pod may read. */
  readonly publicOnly?: boolean;
  /** Only the policy without its binding, which swaps nothing. */
  readonly dryRun?: boolean;
  /** `webhook`: keep images that only the service can decide. Default `refuse`. */
  readonly undecidable?: Undecidable;
}

/** In addition to the system's and the service's own: the API server has none. */
export const ADMISSION_POLICY_NAMESPACES: readonly string[] = [];

/**
 * A `MutatingAdmissionPolicy` and its binding (Kubernetes 1.36 or newer). The API server itself swaps the images, with
 * a table of literals, or with `imageSwapPolicy: always` by computing the name.
 *
 * All decisions are in `variables`: a condition on images in matchConditions would exclude a Pod from the second pass,
 * which sees sidecars of later webhooks.
 *
 * @throws InvalidPolicyOptionError
 */
export function renderMutatingAdmission(
  options: MutatingAdmissionOptions,
): readonly [MutatingAdmissionPolicyObject, ...MutatingAdmissionPolicyBindingObject[]] {
  const { name, failurePolicy, excludedNamespaces } = resolveNames(options, {
    namespaces: ADMISSION_POLICY_NAMESPACES,
  });
  const { targets, pods, dryRun = false, publicOnly = false } = options;
  if (targets.length === 0)
    throw new InvalidPolicyOptionError('targets', 'must name at least one target; otherwise no image is swapped');
  const filters = checkFilters(options.filters);
  const decided = { targets, publicOnly, dryRun };
  const hash =
    options.filters === undefined
      ? undefined
      : (options.hash ?? tableHash({ filters, targets: prefixesOf(targets), pods, decided }));
  const metadata = policyMetadata(name, options, {
    ...hashAnnotation(hash),
    ...(options.table !== undefined && { [TABLE_HASH_ANNOTATION]: entriesHash(targets, publicOnly) }),
  });
  const variables = variablesOf(options, filters);
  for (const variable of variables) {
    if (variable.expression.length <= MAX_EXPRESSION_CHARACTERS) continue;
    const reason = `are too long in total: the expression ${variable.name} has more than ${MAX_EXPRESSION_CHARACTERS} characters`;
    throw new InvalidPolicyOptionError('targets', reason);
  }
  const policy: MutatingAdmissionPolicyObject = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingAdmissionPolicy',
    metadata,
    spec: {
      failurePolicy,
      reinvocationPolicy: 'IfNeeded',
      matchConstraints: {
        matchPolicy: 'Equivalent',
        namespaceSelector: namespacesExcept(excludedNamespaces),
        resourceRules: POD_RULES.map((rule) => ({ ...rule, scope: 'Namespaced' as const })),
      },
      variables,
      mutations: [{ patchType: 'JSONPatch', jsonPatch: { expression: PATCHES } }],
    },
  };
  if (dryRun) return [policy];
  const binding: MutatingAdmissionPolicyBindingObject = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingAdmissionPolicyBinding',
    metadata,
    spec: { policyName: name },
  };
  return [policy, binding];
}

/** The part before a source's name in a target: `registry.example.com/mirror/`. */
export function baseOf({ naming: { host, path } }: Pick<DecidedTarget, 'naming'>): string {
  return `${host}/${path === '' ? '' : `${path}/`}`;
}

/** The bases by the targets' names, in the form for {@link imageTable}. */
export function basesOf(targets: readonly DecidedTarget[]): ReadonlyMap<string, string> {
  return new Map(targets.map((target) => [target.naming.name, baseOf(target)]));
}

function prefixesOf(targets: readonly DecidedTarget[]): readonly string[] {
  return [...new Set(targets.flatMap(({ naming }) => imagePrefixes(naming)))];
}

function variablesOf(
  { targets, table, pods, undecidable }: MutatingAdmissionOptions,
  filters: readonly string[],
): readonly CelCondition[] {
  const conditions = filterConditions(filters, undecidable);
  const matches = targets.map((target) => matchConditions(target, undecidable));
  const left = [...conditions.place, ...undecidedBy(conditions, matches)];
  const { targets: tables } = table ?? imageTable([], new Map());
  const found = targets.map((target, index) => foundVariables(target, index, tables.get(target.naming.name), targets));
  const choices = targets.map((target, index) => {
    const names = found[index]?.results ?? [];
    const [first, ...others] = names.map((name) => `variables.${name}[?c.image]`);
    const known = first === undefined ? '""' : `${first}${others.map((other) => `.or(${other})`).join('')}.orValue("")`;
    const value = isLimited(target) ? `(variables.${missesName(index)} ? "" : ${known})` : known;
    const takes = target.naming.paths === undefined ? undefined : `c.image in variables.${shadowedName(index)}`;
    const all = [takes, matches[index]?.selects].flatMap((one) => one ?? []);
    return { match: all.length === 0 ? undefined : all.join(' && '), value };
  });
  return [
    ...placeVariables({ pod: conditions.pod, place: left }, resolvePodOptions(pods)),
    ...platformVariables(targets),
    { name: 'keys', expression: keysOf('variables.places.map(c, c.image)') },
    ...found.flatMap(({ variables }) => variables),
    {
      name: 'swaps',
      expression: [
        'variables.places.map(c, {"path": c.path, "value":',
        `  ${choices.map(({ match, value }) => (match === undefined ? value : `${match} ? ${value} :`)).join('\n  ')}${
          choices.at(-1)?.match === undefined ? '' : ' ""'
        }`,
        '}).filter(swap, swap.value != "")',
      ].join('\n'),
    },
  ];
}

type Limited = DecidedTarget & { readonly platforms: Exclude<DecidedTarget['platforms'], 'all' | undefined> };

function isLimited(target: DecidedTarget): target is Limited {
  return target.platforms !== undefined && target.platforms !== 'all';
}

/** Variables that tell the targets that do not hold every platform that the Pod may run on; none where all hold all. */
function platformVariables(targets: readonly DecidedTarget[]): readonly CelCondition[] {
  if (!targets.some(isLimited)) return [];
  return [
    ...PLATFORM_VARIABLES,
    ...targets.flatMap((target, index): readonly CelCondition[] =>
      isLimited(target) ? [{ name: missesName(index), expression: missesPlatform(target.platforms) }] : [],
    ),
  ];
}

function missesName(index: number): string {
  return `missesPlatform${index}`;
}

/** Avoids an invalid result: an empty JSON patch is not a patch. */
const PATCHES = 'variables.swaps.map(swap, JSONPatch{op: "replace", path: swap.path, value: swap.value})';

interface FoundVariable {
  readonly variables: readonly CelCondition[];
  /** Variables that map references to names in the target; the first match counts. */
  readonly results: readonly string[];
}

function foundVariables(
  target: DecidedTarget,
  index: number,
  table: ReturnType<ImageTable['targets']['get']>,
  targets: readonly DecidedTarget[],
): FoundVariable {
  const variables: CelCondition[] = [];
  const results: string[] = [];
  const chunksOf = (kind: string, texts: readonly string[]): string => {
    const names = texts.map((_, chunk) => `${kind}${index}_${chunk}`);
    texts.forEach((expression, chunk) => variables.push({ name: names[chunk] ?? '', expression }));
    return `[${names.map((name) => `variables.${name}`).join(', ')}]`;
  };
  const result = (name: string, expression: string): void => {
    variables.push({ name: `${name}${index}`, expression });
    results.push(`${name}${index}`);
  };
  const base = celString(baseOf(target), 'targets');
  if (target.naming.paths !== undefined) {
    variables.push({ name: shadowedName(index), expression: namesUnderPaths(target, target.naming.paths, targets) });
  }
  if (table !== undefined && table.chunks.length > 0) {
    const chunks = chunksOf('table', table.chunks);
    result('found', lookup(chunks, '[?k.dir][?k.name]', `[k.dir][?""].orValue(${base} + k.dir) + "/" + k.name`));
  }
  if (table !== undefined && table.renamed.length > 0) {
    const chunks = chunksOf('renamedTable', table.renamed);
    result('renamed', lookup(chunks, '[?(k.dir + "/" + k.name)][?" "]', '[k.dir + "/" + k.name][""]'));
  }
  if (target.swapPolicy === 'always' && target.naming.paths !== undefined) results.push(shadowedName(index));
  else if (target.swapPolicy === 'always') result('computed', computedNames(target, base, targets));
  return { variables, results };
}

/** The variable with the images that a target with `paths` takes. */
function shadowedName(index: number): string {
  return `underPath${index}`;
}

/** The images that a table contains, with their names; `[?…]` returns an empty text for missing entries. */
function lookup(chunks: string, at: string, name: string): string {
  const isIn = `t${at}.orValue("").contains(" " + k.shown + " ")`;
  return [
    'variables.keys.transformMap(ref, k,',
    `  ${chunks}.exists(t, ${isIn}),`,
    `  ${chunks}.filter(t, ${isIn})[0]${name} + k.separator + k.shown)`,
  ].join('\n');
}
