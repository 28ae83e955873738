import { pathToFileURL } from 'node:url';
import { search } from 'jmespath';
import { compileFilter } from '../../extension-service/src/core/filters/compile.js';
import { matchFilters } from '../../extension-service/src/core/filters/match.js';
import { POD_CONTEXT } from '../unit/filters/kubernetes-filters.js';
import { measure } from './measure.js';

/** A realistic configuration. No filter is true for any container of the Pod, so all are evaluated. */
export const EXPRESSIONS: readonly string[] = [
  "obj.metadata.namespace == 'kube-system'",
  "obj.metadata.namespace == 'kyverno' || obj.metadata.namespace == 'gatekeeper-system'",
  "contains(container.image, '.dkr.ecr.us-') && contains(container.image, '.amazonaws.com')",
  "starts_with(container.image, 'harbor.example.com/')",
  "ends_with(container.image, ':latest')",
  'obj.metadata.annotations."example.com/swap" == \'false\'',
  "contains(obj.metadata.labels.team || '', 'platform')",
  "obj.metadata.ownerReferences[?kind == 'DaemonSet'] | length(@) > `0`",
  "container.name == 'istio-proxy' && obj.metadata.labels.tier == 'back'",
  "obj.spec.containers[?contains(image, 'postgres')] | length(@) > `0`",
];
const ROUNDS = 20_000;
const TARGET_MICROSECONDS = 50;

/**
 * Compares our filters with `jmespath.search` on the same machine: ten filters for each container of a Pod with four
 * containers.
 */
export async function run(): Promise<void> {
  // As in an admission, the Pod comes directly from the JSON parser.
  const { obj } = JSON.parse(JSON.stringify(POD_CONTEXT)) as typeof POD_CONTEXT;
  const contexts = obj.spec.containers.map((container) => ({ obj, container }));
  const filters = EXPRESSIONS.flatMap((expression, index) => compileFilter(expression, index).filter ?? []);
  const ours = measure(ROUNDS, () => {
    for (const context of contexts) {
      const verdict = matchFilters(filters, context);
      if (verdict.skip || verdict.warnings.length > 0) {
        throw new Error('the filters of this benchmark are not to match');
      }
    }
  });
  const theirs = measure(ROUNDS / 20, () => {
    for (const context of contexts) {
      for (const expression of EXPRESSIONS) {
        search(context, expression);
      }
    }
  });
  const compiling = measure(ROUNDS / 20, () => {
    EXPRESSIONS.forEach((expression, index) => compileFilter(expression, index));
  });
  console.table({
    'compiled filters': row(ours),
    'jmespath.search': row(theirs),
    'compiling the ten, once': { 'µs per Pod': Number(compiling.toFixed(1)) },
  });
  console.log(
    `ratio ${(theirs / ours).toFixed(1)}; target ${TARGET_MICROSECONDS} µs per Pod: ${ours < TARGET_MICROSECONDS ? 'met' : 'MISSED'}`,
  );
}

function row(microseconds: number): Record<string, number> {
  return {
    'µs per Pod': Number(microseconds.toFixed(1)),
    'ns per evaluation': Math.round(
      (microseconds * 1000) / (EXPRESSIONS.length * POD_CONTEXT.obj.spec.containers.length),
    ),
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await run();
}
