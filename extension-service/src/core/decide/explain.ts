import type { Filter, FilterResult } from '../filters/compile.js';
import { WorkBudget, WorkBudgetError, MAX_WORK_UNITS, withinBudget } from '../filters/work-budget.js';
import { traceFilter } from '../filters/trace.js';
import type { FilterTrace } from '../filters/trace.js';
import { formatReference, parseReference } from '../image/reference.js';
import type { Reference } from '../image/reference.js';
import { refusalOf } from '../naming/name.js';
import type { ContainerDecision, DecisionInput } from './decide.js';
import { decide } from './decide.js';
import type { ImagePlaceKey } from './image-places.js';
import { filterContainer, filterObject, optOutHint } from './pod.js';
import type { JsonObject } from './pod.js';
import { Redactor } from './redact.js';
import type { Rules, TargetRule } from './rules.js';

/** The result of one expression for one container. */
export interface ExpressionReading {
  readonly expression: string;
  readonly outcome: 'true' | 'false' | 'not-boolean' | 'error' | 'not-read';
  readonly message?: string;
  /** Each sub-expression of the deciding filter; secrets are hidden, values are shortened. */
  readonly trace?: FilterTrace;
}

export interface ExplainedTarget {
  readonly name: string;
  readonly selected: boolean;
  /** Why the image cannot be in the target, as a continuation of the target's name; `match` is then not evaluated. */
  readonly refusal?: string;
  /** The target names images by its `paths`. */
  readonly hasPaths?: true;
  readonly match?: ExpressionReading;
}

/** Why a container's image is swapped or kept, as far as this is known without contacting a registry. */
export interface Explanation {
  readonly list: ImagePlaceKey;
  readonly name: string;
  readonly image: string;
  /** Fully normalized; absent if the image cannot be parsed. */
  readonly source?: string;
  readonly action: 'keep' | 'mirror';
  readonly reason: string;
  readonly detail: string;
  /** Something in the Pod that looks effective but is not. */
  readonly hint?: string;
  readonly filters: readonly ExpressionReading[];
  readonly targets: readonly ExplainedTarget[];
  readonly reference?: string;
  readonly swapPolicy?: string;
  readonly copyPolicy?: string;
}

export interface ExplainedDecision {
  readonly decision: ContainerDecision;
  readonly explanation: Explanation;
}

/** Decides as admission does, and evaluates every expression again to show its value. */
export function explainDecisions(rules: Rules, input: DecisionInput): ExplainedDecision[] {
  const obj = filterObject(input.pod, input.namespace);
  const redactor = new Redactor(input.pod);
  const budget = new WorkBudget(2 * MAX_WORK_UNITS);
  const hint = optOutHint(input.pod);
  return decide(rules, input).map((decision) => {
    const explanation = withinBudget(() => explain(rules, obj, decision, redactor), budget);
    return { decision, explanation: hint === undefined ? explanation : { ...explanation, hint } };
  });
}

/** Reasons that apply before the filters are evaluated. */
const BEFORE_FILTERS: readonly string[] = [
  'static-pod',
  'opted-out',
  'existing-container',
  'volumes-off',
  'operator',
  'never-pulled',
  'placeholder',
  'too-large',
  'invalid-image',
  'in-target',
];

function explain(rules: Rules, obj: JsonObject, decision: ContainerDecision, redactor: Redactor): Explanation {
  const { container } = decision;
  const context = { obj, container: filterContainer(container) };
  const reached = decision.action === 'mirror' || !BEFORE_FILTERS.includes(decision.reason);
  const filters = reached ? readFilters(rules.filters, context, redactor) : [];
  const asked = decision.action === 'mirror' || decision.reason === 'no-target';
  const selected = decision.action === 'mirror' ? rules.targets.indexOf(decision.target) : rules.targets.length;
  const targets = asked ? rules.targets.slice(0, selected + 1) : [];
  const source = normalize(container.image);
  return {
    list: container.list,
    name: container.name,
    image: container.image,
    ...(source !== undefined && { source }),
    action: decision.action,
    filters,
    targets: targets.map((target, index) => readTarget(target, decision, { context, redactor }, index === selected)),
    ...(decision.action === 'keep'
      ? { reason: decision.reason, detail: decision.detail }
      : {
          reason: 'target',
          detail: `target ${decision.target.config.name} matches`,
          reference: decision.reference.text,
          swapPolicy: decision.target.swapPolicy,
          copyPolicy: decision.target.copyPolicy,
        }),
  };
}

interface Context {
  readonly obj: JsonObject;
  readonly container: JsonObject;
}

function readTarget(
  { config, naming, match }: TargetRule,
  decision: ContainerDecision,
  { context, redactor }: { readonly context: Context; readonly redactor: Redactor },
  selected: boolean,
): ExplainedTarget {
  const source = parsed(decision.container.image);
  const refusal = source && refusalOf(naming, source);
  return {
    name: config.name,
    selected,
    ...(refusal !== undefined && { refusal }),
    ...(naming.paths !== undefined && { hasPaths: true as const }),
    ...(refusal === undefined && match !== undefined && { match: read(match, context, redactor, selected) }),
  };
}

function readFilters(filters: readonly Filter[], context: Context, redactor: Redactor): ExpressionReading[] {
  let decided = false;
  return filters.map((filter) => {
    if (decided) return { expression: filter.expression, outcome: 'not-read' };
    const reading = read(filter, context, redactor, false);
    decided = reading.outcome === 'true' || reading.outcome === 'error';
    return decided ? read(filter, context, redactor, true) : reading;
  });
}

function read(filter: Filter, context: Context, redactor: Redactor, traced: boolean): ExpressionReading {
  const { expression } = filter;
  let result: FilterResult;
  let trace: { readonly trace?: FilterTrace } = {};
  try {
    result = filter.evaluate(context);
    if (traced) trace = { trace: redactor.trace(traceFilter(filter, context)) };
  } catch (error) {
    // The decision stayed within its budget, but tracing it for so many containers exceeds ours.
    if (error instanceof WorkBudgetError) return { expression, outcome: 'not-read', message: error.message };
    throw error;
  }
  if (result.kind === 'error') return { expression, outcome: 'error', message: result.message, ...trace };
  if (typeof result.value === 'boolean') return { expression, outcome: result.value ? 'true' : 'false', ...trace };
  const message = `gives ${shown(redactor.value(result.value, expression))}`;
  return { expression, outcome: 'not-boolean', message, ...trace };
}

/** Fits a text into one line. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'null';
  return text.length > 160 ? `${text.slice(0, 157)}…` : text;
}

function normalize(image: string): string | undefined {
  const reference = parsed(image);
  return reference && formatReference(reference);
}

function parsed(image: string): Reference | undefined {
  try {
    return parseReference(image);
  } catch {
    return undefined;
  }
}
