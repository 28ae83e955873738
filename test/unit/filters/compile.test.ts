import { describe, expect, it } from 'vitest';
import { compileFilter } from '../../../extension-service/src/core/filters/compile.js';

describe('expressions that do not compile', () => {
  it.each([
    ['obj.', 5, "the expression ends too early: expected a field name, '*', '[' or '{'"],
    ['obj..x', 5, "unexpected '.': expected a field name, '*', '[' or '{'"],
    ['', 1, 'the expression ends too early: expected a value'],
    ["obj.metadata.namespace = 'x'", 24, "'=' is not an operator: compare with '=='"],
    ["a == 'x' and b", 10, "unexpected 'and': expected an operator or the end of the expression"],
    ['`foo` == a', 1, 'the literal `foo` is not JSON: write a string as \'…\' or `"…"`'],
    ["a == 'x", 6, "the closing ' is missing"],
    ['a == `1', 6, 'the closing ` is missing'],
    ['a["b"]', 3, 'unexpected \'"b"\': expected a number, a slice or *'],
    [
      'obj.labels.app.kubernetes.io/name',
      29,
      'unexpected character "/": put such a key in double quotes, as in obj.metadata.labels."app.kubernetes.io/name"',
    ],
    ['obj.metadata.namespace == kube-system', 31, "'-' must be followed by a digit: write a string as '…'"],
    ['contains(a, b', 14, "the expression ends too early: expected ',' or ')'"],
    ['a[?b == `1`', 12, "the expression ends too early: expected ']'"],
    ['a\n  ]', 5, "unexpected ']': expected an operator or the end of the expression"],
    ['"length"(a)', 9, "unexpected '(': expected no call: a function name must not be quoted"],
    ['a[99999999999999999999]', 3, 'the number 99999999999999999999 is too large'],
    [`${'('.repeat(100_000)}a`, 1, 'the expression is nested too deeply'],
  ])('%.60j: column %i: %s', (expression, column, message) => {
    expect(compileFilter(expression, 0)).toEqual({ problems: [{ severity: 'error', column, message }] });
  });
});

describe('expressions that compile but cannot work', () => {
  it.each([
    ["startsWith(container.image, 'x')", 1, 'there is no function startsWith(), did you mean starts_with()'],
    ['a || lengt(b) == `1`', 6, 'there is no function lengt(), did you mean length()'],
    ['obj.x == `1` && regex_match(a, b)', 17, 'there is no function regex_match()'],
    ['contains(container.image)', 1, 'contains() takes 2 arguments, not 1'],
    ['!merge()', 2, 'merge() takes at least 1 argument, not 0'],
    ['obj.x[?contains(@)]', 8, 'contains() takes 2 arguments, not 1'],
    ['obj.a.length(@, @) == `1`', 7, 'length() takes 1 argument, not 2'],
    ["'true'", 1, 'the expression can never be true or false: it returns a string'],
    ['obj', 1, 'the expression can never be true or false: it returns an object'],
    ['metadata.name', 1, 'the expression can never be true or false: it returns null'],
    ['  length(obj.spec.containers)', 3, 'the expression can never be true or false: it returns a number'],
    ["obj.metadata.name > 'a'", 1, 'the expression can never be true or false: it returns null'],
    ["obj.spec.containers[?name == 'a']", 1, 'the expression can never be true or false: it returns an array or null'],
    ['!obj.spec.hostNetwork', 1, 'the expression can never be true or false: it returns null'],
    ['[obj.a]', 1, 'the expression can never be true or false: it returns an array'],
    ['{a: obj.a}', 1, 'the expression can never be true or false: it returns an object'],
    ['obj.a | {a: @}', 1, 'the expression can never be true or false: it returns an object or null'],
    ["obj.a == 'x' | to_string(@)", 1, 'the expression can never be true or false: it returns a string'],
    ["`1` || obj.a == 'x'", 1, 'the expression can never be true or false: it returns a number'],
    ['&a', 1, 'the expression can never be true or false: it returns an expression (&…)'],
  ] as const)('%s: column %i: %s', (expression, column, message) => {
    const { filter, problems } = compileFilter(expression, 3);
    expect(problems).toContainEqual({ severity: 'warning', column, message });
    expect(filter).toMatchObject({ expression, index: 3 });
    expect(filter?.evaluate({ obj: {}, container: {} })).not.toEqual({ kind: 'value', value: true });
  });

  it('names every problem, in the order of the expression', () => {
    const { problems } = compileFilter('length(nope(a), lenght(b))', 0);
    expect(problems.map(({ column }) => column)).toEqual([1, 8, 13, 17, 24]);
  });
});

describe('conditions that no Pod matches', () => {
  const field = (text: string, name = text) =>
    `${text} is a field, not a string, because it has no quotes: write '${name}'`;
  const quoted = (name: string) => `"${name}" is a field, not a string, because of its double quotes: write '${name}'`;
  it.each([
    ['obj.metadata.namespace == "kube-system"', 27, quoted('kube-system')],
    ['"kube-system" == obj.metadata.namespace', 1, quoted('kube-system')],
    ['contains(container.image, "nginx")', 27, quoted('nginx')],
    ['contains(["kube-system"], obj.metadata.namespace)', 11, quoted('kube-system')],
    [
      'obj.spec.hostNetwork || obj.metadata.name == "it\'s"',
      46,
      `"it's" is a field, not a string, because of its double quotes: write 'it\\'s'`,
    ],
    ['length(obj.spec.containers[?name == "istio-proxy"]) > `0`', 37, quoted('istio-proxy')],
    ['obj.spec.containers[?contains(image, "x")] | length(@) > `0`', 38, quoted('x')],
    ['obj.metadata.namespace == default', 27, field('default')],
    ['obj.spec.hostNetwork == true', 25, 'true is a field here, and it does not exist: write `true`'],
    [
      "metadata.namespace == 'a'",
      1,
      'there is no metadata here: the root has obj (the Pod) and container: did you mean obj.metadata?',
    ],
    ["request.namespace == 'a'", 1, 'there is no request here: the root has obj (the Pod) and container'],
    ["object.metadata.namespace == 'a'", 1, 'there is no object here: the root has obj (the Pod) and container'],
    ["Obj.metadata.namespace == 'a'", 1, 'the root has no field Obj: did you mean obj?'],
    ["containers.image == 'a'", 1, 'the root has no field containers: did you mean container?'],
    ["image == 'a'", 1, field('image')],
    ["obj.namespace == 'a'", 5, 'a Pod has no field namespace: did you mean obj.metadata.namespace?'],
    ["obj.metadata.namespaces == 'a'", 14, 'metadata has no field namespaces: did you mean namespace?'],
    ["obj.metadata.label.app == 'a'", 14, 'metadata has no field label: did you mean labels?'],
    ["container.Image == 'a'", 11, 'a container has no field Image: did you mean image?'],
    [
      "contains(obj.spec.containers.image, 'a')",
      30,
      'a list of containers has no field image: use [*].image for all items, or [?…] to select some',
    ],
    [
      'obj.metadata.labels.skip == `true`',
      1,
      "the comparison is always false: a string or null never equals a boolean: write strings as '…'",
    ],
    [
      'obj.metadata.namespace != `1`',
      1,
      "the comparison is always true: a string or null never equals a number: write strings as '…'",
    ],
    [
      "length(obj.spec.containers) == '1'",
      1,
      "the comparison is always false: a number never equals a string: write strings as '…'",
    ],
    [
      "starts_with(obj.spec.containers, 'a')",
      1,
      'starts_with() always fails: it needs a string as argument 1, not an array or null',
    ],
    [
      'obj.metadata.namespace',
      1,
      "the expression can never be true or false: it returns a string or null; compare it with == '…'",
    ],
    [
      'container.image',
      1,
      "the expression can never be true or false: it returns a string or null; compare it with == '…'",
    ],
    [
      'obj.metadata.labels.skip',
      1,
      "the expression can never be true or false: it returns a string or null; compare it with == '…'",
    ],
    ["obj.metadata.labels || 'a'", 1, 'the expression can never be true or false: it returns a string or an object'],
  ] as const)('%s: column %i: %s', (expression, column, message) => {
    expect(compileFilter(expression, 0).problems).toContainEqual({ severity: 'warning', column, message });
  });
});

describe('values that may be boolean', () => {
  it.each([
    'obj.spec.hostNetwork',
    'container.a[0]',
    'obj.spec.containers[*].tty | [0]',
    "obj.metadata.name == 'a' && 'x'",
    "'x' && obj.metadata.name == 'a'",
    'not_null(obj.spec.a, `false`)',
    'max_by(obj.spec.list, &n)',
    'max_by(obj.spec.list, &n).flag',
    "contains('a', 'b')",
    'obj.spec.priority > length(obj.spec.list)',
    '`{"a": true}`.a',
    '{a: !obj}.a',
    '* | [0]',
    'merge(obj, container).flag',
    'obj.spec.a || `true`',
    'obj.metadata.labels."app.kubernetes.io/name" == \'x\'',
    'obj.metadata.namespace == null',
    "obj.spec.containers[?name == 'a'].image | [0] == 'x'",
  ])('%s', (expression) => {
    expect(compileFilter(expression, 0).problems).toEqual([]);
  });
});

describe('evaluation', () => {
  it('is safe on a Pod nested beyond any stack', () => {
    let deep: unknown = 'x';
    for (let i = 0; i < 100_000; i++) {
      deep = [deep];
    }
    const { filter } = compileFilter('obj == container', 0);
    const nested = { kind: 'error', message: 'the expression cannot be evaluated on this object' };
    expect(filter?.evaluate({ obj: deep, container: [[deep]] })).toEqual(nested);
  });

  it('handles a long list of alternatives', () => {
    const names = Array.from({ length: 1500 }, (_, i) => `obj.metadata.namespace == 'team-${i}'`);
    const { filter, problems } = compileFilter(names.join(' || '), 0);
    expect(problems).toEqual([]);
    expect(filter?.evaluate({ obj: { metadata: { namespace: 'team-1499' } }, container: {} })).toEqual({
      kind: 'value',
      value: true,
    });
  });
});
