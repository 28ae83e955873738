import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ExpressionReference, isArray, isObject } from '../../../extension-service/src/core/filters/values.js';
import { brokenExpression, expression, filterContext } from '../../unit/filters/arbitraries.js';
import { complianceCases } from '../../unit/filters/compliance.js';
import { evaluateOver } from '../../unit/filters/evaluate.js';
import { KUBERNETES_FILTERS, POD_CONTEXT } from '../../unit/filters/kubernetes-filters.js';

interface Question {
  readonly expression: string;
  readonly context: unknown;
}

/** A form that both results have in common. Failures of every kind count as errors, and messages are not compared. */
type Answer =
  | { readonly kind: 'compile-error' | 'error'; readonly message: string }
  | { readonly kind: 'value'; readonly value: unknown };

interface GoAnswer {
  readonly compileError?: string;
  readonly outcomes?: readonly { readonly value?: unknown; readonly error?: string; readonly panic?: string }[];
}

const root = fileURLToPath(new URL('../../../', import.meta.url));
const tool = `${root}.cache/tools/go-jmespath`;
const hasGo = spawnSync('go', ['version'], { stdio: 'ignore' }).status === 0;
const GENERATED = 4000;
const SEED = Number(process.env['FILTERS_SEED'] ?? Date.now() % 2 ** 31);

describe('our evaluator in comparison with go-jmespath', () => {
  beforeAll(() => {
    if (hasGo) {
      mkdirSync(`${root}.cache/tools`, { recursive: true });
      execFileSync('go', ['build', '-o', tool, '.'], { cwd: `${root}test/tools/go-jmespath`, stdio: 'inherit' });
    }
  }, 300_000);

  it('can be compared here', ({ skip }) => {
    skip(!hasGo && process.env['CI'] === undefined, 'NOT COMPARED with go-jmespath: there is no `go` on the PATH');
    expect(hasGo, 'CI compares with go-jmespath and needs `go` on the PATH').toBe(true);
  });

  it.runIf(hasGo)('agrees on the compliance suite', () => {
    expectAgreement(complianceCases().map(({ expression: text, given }) => ({ expression: text, context: given })));
  });

  it.runIf(hasGo)('agrees on Kubernetes filters', () => {
    expectAgreement(KUBERNETES_FILTERS.map(([text]) => ({ expression: text, context: POD_CONTEXT })));
  });

  it.runIf(hasGo)('agrees on generated expressions over generated Pods', () => {
    expectAgreement(generate(expression));
  });

  it.runIf(hasGo)('agrees on which expressions are valid', () => {
    expectAgreement(generate(brokenExpression));
  });
});

function generate(text: fc.Arbitrary<string>): readonly Question[] {
  return fc.sample(fc.record({ expression: text, context: filterContext }), { numRuns: GENERATED, seed: SEED });
}

function expectAgreement(questions: readonly Question[]): void {
  const answers = evaluateInGo(questions);
  expect(answers).toHaveLength(questions.length);
  const differences = questions.flatMap((question, i) => {
    const go = answers[i] ?? {};
    const ours = evaluateHere(question);
    return agrees(ours, go) ? [] : [{ ...question, ours, go }];
  });
  const shown = differences.slice(0, 5).map((difference) => JSON.stringify(difference));
  expect(
    shown,
    `${differences.length} of ${questions.length} differ from Go (FILTERS_SEED=${SEED} repeats what is generated)`,
  ).toEqual([]);
}

function evaluateInGo(questions: readonly Question[]): readonly GoAnswer[] {
  const input = questions.map((question) => JSON.stringify(question)).join('\n');
  const output = execFileSync(tool, { input, encoding: 'utf8', maxBuffer: 1 << 30 });
  return output
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as GoAnswer);
}

function evaluateHere({ expression: text, context }: Question): Answer {
  // Admission parses the document from JSON, which does not have a negative zero.
  const outcome = evaluateOver(text, JSON.parse(JSON.stringify(context)));
  return outcome.kind === 'value' ? { kind: 'value', value: encodable(outcome.value) } : outcome;
}

function agrees(ours: Answer, go: GoAnswer): boolean {
  if (go.compileError !== undefined || go.outcomes === undefined) {
    return ours.kind === 'compile-error';
  }
  if (ours.kind === 'compile-error') {
    return ACCEPTED_BY_MISTAKE.test(ours.message);
  }
  const same = (value: unknown): boolean => ours.kind === 'value' && canonical(value) === canonical(ours.value);
  const [only, ...others] = go.outcomes;
  if (only !== undefined && others.length === 0 && 'value' in only) {
    return ours.kind === 'value' && canonical(only.value) === canonical(ours.value);
  }
  // Go reads maps in random order, but we read them in document order. Our result may match any of Go's outcomes, in
  // any order.
  return go.outcomes.some((one) =>
    'value' in one ? same(one.value) || sameInAnyOrder(ours, one.value) : ours.kind === 'error',
  );
}

/**
 * Two mistakes of Go's parser that we refuse when the configuration loads: it ignores an error inside a bracket that
 * begins an operand (`[1`), and accepts calls of any expression (`(a)(b)`). Both expressions fail later, when they are
 * evaluated.
 */
const ACCEPTED_BY_MISTAKE = /unexpected '\('|expected (?:a number, ':' or )?'\]'$/;

function sameInAnyOrder(ours: Answer, value: unknown): boolean {
  return ours.kind === 'value' && canonical(sorted(value)) === canonical(sorted(ours.value));
}

function sorted(value: unknown): unknown {
  if (isArray(value)) {
    return value.map(sorted).sort((a, b) => (canonical(a) < canonical(b) ? -1 : 1));
  }
  return isObject(value)
    ? Object.fromEntries(Object.entries(value).map(([name, field]) => [name, sorted(field)]))
    : value;
}

/** Returns the same JSON regardless of the order of keys. */
function canonical(value: unknown): string {
  if (isArray(value)) {
    return `[${value.map(canonical).join()}]`;
  }
  if (isObject(value)) {
    return `{${Object.keys(value)
      .sort()
      .map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`)
      .join()}}`;
  }
  return JSON.stringify(value);
}

/** Encodes values that JSON cannot represent, as the tool does. */
function encodable(value: unknown): unknown {
  if (typeof value === 'number') {
    const text = Object.is(value, -0)
      ? '-0'
      : String(value).replace(/^(-?)Infinity$/, (_, sign: string) => `${sign || '+'}Inf`);
    return Number.isFinite(value) && text !== '-0' ? value : { $go: text };
  }
  if (value instanceof ExpressionReference) {
    return { $go: 'expression' };
  }
  if (isArray(value)) {
    return value.map(encodable);
  }
  if (!isObject(value)) {
    return value;
  }
  const entries = Object.entries(value).map(([name, field]) => [name, encodable(field)] as const);
  return Object.fromEntries(entries);
}
