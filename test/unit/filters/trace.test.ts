import { describe, expect, it } from 'vitest';
import { compileFilter } from '../../../extension-service/src/core/filters/compile.js';
import { traceFilter } from '../../../extension-service/src/core/filters/trace.js';
import type { FilterTrace } from '../../../extension-service/src/core/filters/trace.js';

const context = {
  obj: { metadata: { namespace: 'a' }, spec: { containers: [{ image: 'nginx' }, { image: 'redis' }] } },
  container: { image: 'nginx' },
};

/** One line for each trace entry: indentation, column, text and outcome. */
function linesOf(expression: string, over: { obj: unknown; container: unknown } = context): readonly string[] {
  const { filter } = compileFilter(expression, 0);
  if (filter === undefined) {
    throw new Error(`${expression} does not compile`);
  }
  const write = (trace: FilterTrace, depth: number): readonly string[] => {
    const outcome = trace.error === undefined ? JSON.stringify(trace.value) : `ERROR ${trace.error}`;
    return [
      `${'  '.repeat(depth)}${trace.column} ${trace.text}: ${outcome}`,
      ...trace.children.flatMap((child) => write(child, depth + 1)),
    ];
  };
  return write(traceFilter(filter, over), 0);
}

describe('traceFilter', () => {
  it('shows a path as one value and leaves literals out', () => {
    expect(linesOf(" obj.metadata.namespace == 'a'")).toEqual([
      "2 obj.metadata.namespace == 'a': true",
      '  2 obj.metadata.namespace: "a"',
    ]);
  });

  it('leaves out what was not evaluated', () => {
    expect(linesOf("(obj.metadata.namespace == 'a' || nope()) && !(container.image == 'x')")).toEqual([
      "1 (obj.metadata.namespace == 'a' || nope()) && !(container.image == 'x'): true",
      "  1 (obj.metadata.namespace == 'a' || nope()): true",
      "    2 obj.metadata.namespace == 'a': true",
      '      2 obj.metadata.namespace: "a"',
      "  46 !(container.image == 'x'): true",
      "    47 (container.image == 'x'): false",
      '      48 container.image: "nginx"',
    ]);
  });

  it('evaluates the elements of a projection', () => {
    expect(linesOf("obj.spec.containers[?contains(image, 'red')].image | [0]")).toEqual([
      '1 obj.spec.containers[?contains(image, \'red\')].image | [0]: "redis"',
      '  1 obj.spec.containers[?contains(image, \'red\')].image: ["redis"]',
      '    1 obj.spec.containers: [{"image":"nginx"},{"image":"redis"}]',
      "    22 contains(image, 'red'): false",
      '      31 image: "nginx"',
      "    22 contains(image, 'red'): true",
      '      31 image: "redis"',
      '    46 image: "redis"',
      '  54 [0]: "redis"',
    ]);
  });

  it('shows where an error comes from', () => {
    const error = 'ERROR contains() needs an array or a string as argument 1, not null';
    expect(linesOf("container.image == 'x' || contains(obj.missing, 'x')")).toEqual([
      `1 container.image == 'x' || contains(obj.missing, 'x'): ${error}`,
      "  1 container.image == 'x': false",
      '    1 container.image: "nginx"',
      `  27 contains(obj.missing, 'x'): ${error}`,
      '    36 obj.missing: null',
    ]);
  });

  it('shows the result of an expression reference for each item', () => {
    expect(linesOf('max_by(obj.spec.containers, &length(image)).image')).toEqual([
      '1 max_by(obj.spec.containers, &length(image)).image: "nginx"',
      '  1 max_by(obj.spec.containers, &length(image)): {"image":"nginx"}',
      '    8 obj.spec.containers: [{"image":"nginx"},{"image":"redis"}]',
      '    30 length(image): 5',
      '      37 image: "nginx"',
      '    30 length(image): 5',
      '      37 image: "redis"',
      '  45 image: "nginx"',
    ]);
  });

  it.each(['obj.metadata.namespace', '`true`', '@', 'obj.spec.containers[0].image'])(
    'has no parts of %s',
    (expression) => {
      expect(linesOf(expression)).toHaveLength(1);
    },
  );

  it('is bounded on a Pod with very many parts', () => {
    const { filter } = compileFilter('obj[?a == `1`]', 0);
    const trace = filter && traceFilter(filter, { obj: Array.from({ length: 5000 }, () => ({ a: 1 })), container: {} });
    expect(trace?.truncated).toBe(true);
    expect(trace?.value).toHaveLength(5000);
    expect(trace?.children.length).toBeLessThan(600);
  });
});
