import { stringify } from 'yaml';
import { Cleaner } from '../config/clean.js';
import { parseConfig } from '../config/parse.js';
import type { ConfigProblem } from '../config/problem.js';
import { ConfigError, Problems } from '../config/problem.js';
import { rootField } from '../config/schema/config.js';
import { didYouMean, suggest } from '../config/suggest.js';
import type { Entry, MappingNode, Path, TreeNode } from '../config/tree.js';
import { childOf, formatPath, nodeAt, placeAt, toPlain } from '../config/tree.js';
import { readYaml } from '../config/yaml.js';
import type { PolicyEngine } from '../core/config/model.js';
import { formatDuration, parseDuration } from '../core/config/duration.js';
import { engineOf } from '../core/engines/engines.js';
import { MAX_WAIT_MS, waitsForCopy } from '../core/engines/waiting.js';
import { compileFilter } from '../core/filters/compile.js';
import { readsOnlyImage } from '../core/filters/needs.js';
import { parseExpression } from '../core/filters/parse.js';
import { InvalidPolicyOptionError } from '../core/policies/problem.js';
import { CHART_KEYS } from './chart-keys.js';
import { rewriteConfig } from './config-keys.js';
import { LEGACY_DEFAULT_TYPE } from '../config/variants.js';
import { REGISTRY_TYPES } from '../kinds/kinds.js';

export interface MigrateInput {
  readonly text: string;
  /** The file's name in messages. */
  readonly file: string;
  readonly engine: PolicyEngine;
}

export interface Migrated {
  /** `values`: values of the chart. `config`: the service's configuration file. */
  readonly from: 'values' | 'config';
  /** Values of our chart. */
  readonly values: Readonly<Record<string, unknown>>;
  /** Values that change, are obsolete, or cannot be used; in the order of the file. */
  readonly findings: readonly ConfigProblem[];
}

/** The default of k8s-image-swapper's chart; its configuration file has no filter by default. */
const chartFilters = [{ jmespath: "obj.metadata.namespace == 'kube-system'" }];

/**
 * Converts values of k8s-image-swapper's chart, or its configuration file, to values of our chart. Pure.
 * @throws ConfigError if the text is not YAML, or neither of the two
 */
export function migrate({ text, file, engine }: MigrateInput): Migrated {
  const problems = new Problems();
  const tree = readYaml({ text, file, lenient: true }, problems);
  const errors = problems.list('error', file);
  if (errors.length > 0) throw new ConfigError(errors);
  const from = tree?.kind === 'mapping' ? kindOf(tree) : undefined;
  if (tree?.kind !== 'mapping' || from === undefined) {
    const message = 'this is neither a k8s-image-swapper values file nor its configuration file';
    throw new ConfigError([{ file, line: 1, column: 1, key: '', message, severity: 'error' }]);
  }
  return new Migration(tree, from, engine, problems).run(file);
}

function kindOf(tree: MappingNode): 'values' | 'config' | undefined {
  const keys = [...tree.entries.keys()];
  const chart = new Set([...CHART_KEYS.keys(), 'config'].map((key) => key.split('.', 1)[0] ?? ''));
  if (keys.some((key) => chart.has(key))) return 'values';
  const config = rootField.kind === 'mapping' ? [...rootField.fields.keys()] : [];
  const known = new Set(config.map((key) => key.toLowerCase()));
  return keys.some((key) => known.has(key.toLowerCase())) ? 'config' : undefined;
}

class Migration {
  readonly #values: Record<string, unknown> = {};

  constructor(
    private readonly tree: MappingNode,
    private readonly from: 'values' | 'config',
    private readonly engine: PolicyEngine,
    private readonly problems: Problems,
  ) {}

  run(file: string): Migrated {
    const written = this.from === 'config' ? this.tree : childOf(this.tree, 'config');
    if (written !== undefined && written.kind !== 'mapping') {
      const kind = written.kind === 'list' ? 'a list' : 'a single value';
      this.problems.error(written.place, 'config', `is ${kind}, not a mapping`);
    }
    const config = written?.kind === 'mapping' ? written : { ...this.tree, entries: new Map<string, Entry>() };
    this.#values['config'] = this.config(config);
    this.#values['policies'] = { engine: this.engine };
    if (this.from === 'values') this.chart(this.tree, []);
    if (engineOf({ engine: this.engine })?.decides.sees === 'images') this.imagesOnly(config);
    const { problems } = this;
    const findings = [...problems.list('error', file), ...problems.list('warning', file)];
    findings.sort((a, b) => a.line - b.line || a.column - b.column);
    return { from: this.from, values: this.#values, findings };
  }

  private chart(node: MappingNode, path: readonly string[]): void {
    for (const [key, entry] of node.entries) {
      const here = [...path, key];
      const name = here.join('.');
      if (name === 'config') continue;
      const mapping = CHART_KEYS.get(name);
      if (mapping !== undefined) this.apply(here, entry);
      else if (entry.node.kind === 'mapping' && [...CHART_KEYS.keys()].some((known) => known.startsWith(`${name}.`))) {
        this.chart(entry.node, here);
      } else if (!isEmptyValue(entry.node)) {
        const siblings = [...CHART_KEYS.keys()].filter((known) => known.split('.').length === here.length);
        const isConfigKey = rootField.kind === 'mapping' && rootField.fields.has(name);
        const hint = isConfigKey
          ? `; did you mean config.${name}? At this level it had no effect`
          : didYouMean(suggest(name, siblings));
        this.problems.warning(
          entry.place,
          name,
          `the k8s-image-swapper chart does not have this value${hint}`,
          'left out',
        );
      }
    }
  }

  private apply(path: readonly string[], { place, node }: Entry): void {
    const name = path.join('.');
    const mapping = CHART_KEYS.get(name);
    const value = toPlain(node);
    if (mapping === undefined || value === null) return;
    switch (mapping.kind) {
      case 'kept': {
        this.set(path, value);
        const message = isEmptyValue(node) ? undefined : mapping.look?.(value);
        if (message !== undefined) this.problems.warning(place, name, message);
        return;
      }
      case 'moved': {
        const moved = mapping.value(value);
        if (moved === undefined) return;
        this.set(mapping.to, moved);
        this.problems.warning(place, name, `is ${mapping.to.join('.')}: ${moved} here`);
        return;
      }
      case 'dropped':
        this.problems.warning(place, name, mapping.message);
        return;
      case 'of-webhook':
        if (engineOf({ engine: this.engine })?.chart.webhookValues === true) this.set(path, value);
        else if (!isEmptyValue(node)) {
          this.problems.warning(place, name, 'applies only with policies.engine: webhook', mapping.message);
        }
    }
  }

  private config(written: MappingNode): unknown {
    const found = new Problems();
    const tree = rewriteConfig(written, found);
    const cleaned = new Cleaner('k8s-image-swapper', found).clean(tree, rootField, []);
    const config = (cleaned === undefined ? {} : toPlain(cleaned)) as Record<string, unknown>;
    this.adopt(found, tree);
    this.typed(config);
    this.otherClouds(config, tree);
    this.deadline(config, tree);
    this.dryRun(tree, config);
    this.numbers(tree, ['target', 'aws', 'accountId']);
    if (this.from === 'values') this.defaultFilters(config);
    this.validate(config, tree);
    return config;
  }

  /** Gatekeeper only sends images: filters about the Pod must be in its policies, which the service then writes. */
  private imagesOnly(tree: MappingNode): void {
    const { source } = this.#values['config'] as { source?: { filters?: readonly { readonly jmespath: unknown }[] } };
    const filters = (source?.filters ?? []).map(({ jmespath }) => jmespath);
    // Invalid expressions were already reported.
    if (!filters.every((filter) => typeof filter === 'string' && isExpression(filter))) return;
    const expressions = filters as readonly string[];
    if (expressions.every((filter) => readsOnlyImage(parseExpression(filter)))) return;
    try {
      engineOf({ engine: this.engine })?.decides.checkFilters?.(expressions);
    } catch (error) {
      if (!(error instanceof InvalidPolicyOptionError)) throw error;
      const path: Path = ['source', ...pathOf(error.option)];
      const message = error.message.slice(error.option.length).replace(/^: /, '');
      this.problems.error(placeAt(tree, path), this.key(path), message);
      return;
    }
    this.set(['policies', 'manage'], true);
    this.problems.warning(
      placeAt(tree, ['source', 'filters']),
      this.key(['source', 'filters']),
      'reads more than images, but Gatekeeper sends nothing else',
      'policies.manage is set to true: the service writes policies that include these filters, and gets the permission to',
    );
    const webhook = this.#values['webhook'] as Record<string, unknown> | undefined;
    if (webhook?.['timeoutSeconds'] === undefined) return;
    delete webhook['timeoutSeconds'];
    if (Object.keys(webhook).length === 0) delete this.#values['webhook'];
    const path = ['webhook', 'timeoutSeconds'];
    const message = 'cannot be combined with policies.manage, with which Gatekeeper waits 1 s';
    this.problems.warning(placeAt(this.tree, path), path.join('.'), message, 'left out');
  }

  private typed(config: Record<string, unknown>): void {
    const target = config['target'] as Record<string, unknown> | undefined;
    if (typeof target !== 'object') return;
    const types = REGISTRY_TYPES.filter((type) => target[type] !== undefined);
    if (target['type'] === undefined)
      config['target'] = { type: types.length === 1 ? types[0] : LEGACY_DEFAULT_TYPE, ...target };
  }

  /** Templates contain sections for several clouds, and k8s-image-swapper only reads the one of `type`. */
  private otherClouds(config: Record<string, unknown>, tree: MappingNode): void {
    const sources = (config['source'] as { registries?: unknown } | undefined)?.registries;
    const registries: readonly (readonly [Path, unknown])[] = [
      [['target'], config['target']],
      ...(Array.isArray(sources) ? sources : []).map((one, n) => [['source', 'registries', n], one] as const),
    ];
    for (const [path, registry] of registries) {
      if (typeof registry !== 'object' || registry === null) continue;
      const settings = registry as Record<string, unknown>;
      const type = typeof settings['type'] === 'string' ? settings['type'].toLowerCase() : undefined;
      if (type === undefined || settings[type] === undefined) continue;
      for (const other of REGISTRY_TYPES) {
        if (other === type || settings[other] === undefined) continue;
        delete settings[other];
        const at = [...path, other];
        this.problems.warning(placeAt(tree, at), this.key(at), `has no effect with type ${type}`, 'left out');
      }
    }
  }

  /** The API server waits at most 30 s for a webhook, and `serve` rejects a longer wait. */
  private deadline(config: Record<string, unknown>, tree: MappingNode): void {
    const { imageCopyDeadline: written, imageCopyPolicy } = config;
    if (!waitsForCopy(String(imageCopyPolicy)) || typeof written !== 'string') return;
    const milliseconds = parseDuration(written);
    if (milliseconds === undefined || milliseconds <= MAX_WAIT_MS) return;
    const longest = formatDuration(MAX_WAIT_MS);
    config['imageCopyDeadline'] = longest;
    const at = ['imageCopyDeadline'];
    const message = `${written} is longer than the API server waits for a webhook`;
    this.problems.warning(placeAt(tree, at), this.key(at), message, `written as ${longest}`);
  }

  private dryRun(tree: MappingNode, config: Record<string, unknown>): void {
    if (config['dryRun'] !== true) return;
    this.problems.warning(
      placeAt(tree, ['dryRun']),
      this.key(['dryRun']),
      'k8s-image-swapper ignored this key, but image-swapper respects it: nothing is swapped or copied',
      'set it to false when you switch over',
    );
  }

  /** Helm converts an unquoted account ID to a floating-point number, which becomes 1.23456789012e+11. */
  private numbers(tree: MappingNode, path: Path): void {
    const node = nodeAt(tree, path);
    if (this.from !== 'values' || node?.kind !== 'scalar' || typeof node.value !== 'number') return;
    const message = 'is unquoted, so Helm reads it as a number: it drops a leading zero and rounds long numbers';
    this.problems.warning(node.place, this.key(path), message, `written as ${JSON.stringify(node.source)}`);
  }

  private defaultFilters(config: Record<string, unknown>): void {
    const source = config['source'] as { filters?: unknown } | undefined;
    if (source?.filters !== undefined) return;
    config['source'] = { filters: chartFilters, ...source };
    const message = 'is not set, and the k8s-image-swapper chart excludes kube-system by default';
    this.problems.warning(this.tree.place, 'config.source.filters', message, 'written explicitly');
  }

  /** Our loader's problems with the result, at the places in the original. */
  private validate(config: Record<string, unknown>, tree: MappingNode): void {
    const found = new Problems();
    const collect = (list: readonly ConfigProblem[]): void => {
      for (const { severity, key, message, allowed } of list) {
        const path = pathOf(key);
        // A missing key is reported at `config`, whose first key has its own place.
        const isMissing = nodeAt(tree, path.slice(0, 1)) === undefined;
        const place = isMissing && this.from === 'values' ? placeAt(this.tree, ['config']) : placeAt(tree, path);
        found.add(severity, place, key, message, allowed);
      }
    };
    try {
      collect(parseConfig({ text: stringify(config, { lineWidth: 0 }), file: 'image-swapper.yaml' }).warnings);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      collect(error.problems);
    }
    this.adopt(found, tree);
  }

  private adopt(found: Problems, tree: MappingNode): void {
    const { file } = tree.place;
    for (const problem of [...found.list('error', file), ...found.list('warning', file)]) {
      const { severity, key, message, allowed } = problem;
      const fate = message.startsWith('unknown key') ? 'left out' : allowed;
      this.problems.add(severity, problem, this.key(pathOf(key)), message, fate);
    }
  }

  /** The value in the user's file. */
  private key(path: Path): string {
    return formatPath(this.from === 'values' ? ['config', ...path] : path);
  }

  private set(path: readonly string[], value: unknown): void {
    let at = this.#values;
    for (const key of path.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>;
    at[path.at(-1) ?? ''] = value;
  }
}

function isExpression(text: string): boolean {
  return compileFilter(text, 0).problems.every(({ severity }) => severity !== 'error');
}

/** `targets[0].aws.region` as a path. */
function pathOf(key: string): Path {
  if (key === '') return [];
  return [...key.matchAll(/\[(\d+)\]|[^.[\]]+/g)].map(([part, index]) => (index === undefined ? part : Number(index)));
}

function isEmptyValue(node: TreeNode): boolean {
  if (node.kind === 'scalar') return node.value === null || node.value === '' || node.value === false;
  return node.kind === 'list' ? node.items.length === 0 : node.entries.size === 0;
}
