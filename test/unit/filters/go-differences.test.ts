import { describe, expect, it } from 'vitest';
import { evaluateOver, valueOf } from './evaluate.js';

/** Differences between jmespath.js and go-jmespath 0.4.0. The result of go-jmespath is the expected one. */
describe('strings have no order', () => {
  const pod = { obj: { metadata: { name: 'web', labels: { n: '5' } }, spec: { priority: 7 } } };
  it.each([
    "obj.metadata.name > 'a'",
    "obj.metadata.name <= 'z'",
    'obj.metadata.labels.n > `1`',
    'obj.spec.priority > obj.missing',
    'obj.missing >= `0`',
    '`true` < `2`',
    '`[1]` < `[2]`',
  ])('%s is null', (expression) => {
    expect(valueOf(expression, pod)).toBeNull();
  });
  it('numbers have an order', () => {
    expect(valueOf('obj.spec.priority > `1`', pod)).toBe(true);
  });
});

describe('only the document itself is read', () => {
  it.each([
    'obj.constructor',
    'obj.hasOwnProperty',
    'obj.name.toString',
    'obj.__proto__',
    'list.length',
    'name.length',
  ])('%s is null', (expression) => {
    expect(valueOf(expression, { obj: { name: 'x' }, list: [1], name: 'x' })).toBeNull();
  });
  it('keys() of a prototype is an error', () => {
    expect(evaluateOver('keys(obj.__proto__)', { obj: {} }).kind).toBe('error');
  });
  it.each([
    ['a.__proto__', 'own'],
    ['a.constructor', 'mine'],
    ['keys(a) | length(@)', 2],
    ['merge(a, a).__proto__', 'own'],
    ['{__proto__: a.__proto__}.__proto__', 'own'],
    ['`{"__proto__": "own"}`.__proto__', 'own'],
  ])('%s is an ordinary field when the document has it', (expression, expected) => {
    expect(valueOf(expression, JSON.parse('{"a":{"__proto__":"own","constructor":"mine"}}'))).toBe(expected);
  });
  it('cannot set the prototype of a result', () => {
    expect(valueOf('{__proto__: a}.b', { a: { b: 'leaked' } })).toBeNull();
  });
  it('does not show the content of an expression reference', () => {
    expect(valueOf('(&a).evaluate')).toBeNull();
  });
});

describe('literals', () => {
  it.each(["`foo` == 'foo'", '`foo bar`', '`01`', '``', "`'a'`", '`1e400`', '`[1,]`'])(
    '%s does not compile',
    (expression) => {
      expect(evaluateOver(expression, {}).kind).toBe('compile-error');
    },
  );
  it.each([
    ['`"foo"`', 'foo'],
    ['` {"a": [1, null]} `', { a: [1, null] }],
    ['`"a\\`b\\`c"`', 'a`b`c'],
    ["'a\\'b\\'c'", "a'b'c"],
    ["'a\\d\\\\d'", 'a\\d\\\\d'],
    ["'`x`\n'", '`x`\n'],
    ['`"\\ud800"`', '\ufffd'],
    ['`"\\ud83d\\ude00"`', '😀'],
  ])('%s is %j', (expression, expected) => {
    expect(valueOf(expression)).toEqual(expected);
  });
  it('does not escape a backslash in a raw string, so the closing quote is missing', () => {
    expect(evaluateOver("'a\\\\'", {}).kind).toBe('compile-error');
  });
});

describe('the parser', () => {
  it.each([
    'foo.',
    'obj..x',
    'obj.',
    '.foo',
    'a b',
    '[a b]',
    'a.[ ]',
    '[ ]',
    '[a,]',
    '(a b)',
    '()',
    '{a: b,}',
    '{}',
    'a[b]',
    'a[*][b][c]',
    'a[1-2]',
    'a[-]',
    'a[9223372036854775808]',
    'a = b',
    '"length"(a)',
    'a.@',
    'a.*.',
    '**',
    'f(,)',
    'f(a,,b)',
    '`1',
    '"a',
    "'a",
    'a\u0080',
    '',
    ' ',
    '&',
    '!',
    'a ||',
    'a[?]',
    'a[?b',
  ])('refuses %j', (expression) => {
    expect(evaluateOver(expression, {}).kind).toBe('compile-error');
  });
  it.each(['@(a)', "'length'(a)", '(length)(a)', '[1', '[1 || a'])(
    'rejects %j when it is loaded, on which Go fails later',
    (expression) => {
      expect(evaluateOver(expression, {}).kind).toBe('compile-error');
    },
  );
  it.each([
    ['a\r\n||\r\nb', 2],
    ['length(@.list)', 2],
    ['(@.b)', 2],
    ["list[?contains(@.x, 'q')] | [0].x", 'q1'],
    ['join(\'-\' `["a", "b"]`)', 'a-b'],
    ['join(\'-\', `["a"]`,)', 'a'],
    ['{x: b y: b}.y', 2],
    ['list[*][x, y] | [1]', ['z', null]],
    ['[list][0] | [0].x', 'q1'],
    ['"b"', 2],
    ['"\\u0062"', 2],
    ['!a.b || b', 2],
    ['!(a.b) || b', true],
    ['list[-1].x', 'z'],
    ['list[::-1][].x | [0]', 'z'],
  ])('takes %j', (expression, expected) => {
    expect(valueOf(expression, { b: 2, list: [{ x: 'q1' }, { x: 'z' }] })).toEqual(expected);
  });
});

describe('functions', () => {
  it.each([
    ["length('😀')", 1],
    ["length('añ😀')", 3],
    ["reverse('añ😀')", '😀ña'],
    ['avg(`[]`)', NaN],
    ['sum(`[]`)', 0],
    ['max(`[]`)', null],
    ['max_by(`[]`, &a)', null],
    ['max_by(`[{"a": true}]`, &a)', { a: true }],
    ['min_by(`[{"a": 2, "b": 1}, {"a": 2, "b": 2}, {"a": 1, "b": 3}, {"a": 1, "b": 4}]`, &a).b', 3],
    ['sort_by(`[true]`, &abs(@))', [true]],
    ['sort(`["｡", "😀", "a", "B"]`)', ['B', 'a', '｡', '😀']],
    ['max(`["｡", "😀"]`)', '😀'],
    ['contains(`[1, "1", null]`, \'1\')', true],
    ['contains(`[1, null]`, `null`)', true],
    ["contains('12', `1`)", false],
    ['contains(`[[1], 2]`, `2`)', true],
    ['contains(`[1]`, `[1]`)', false],
    ['to_string(`{"b": "<&>", "a": [1e21, 0.0000001, null]}`)', '{"a":[1e+21,1e-7,null],"b":"\\u003c\\u0026\\u003e"}'],
    ["to_string('<')", '<'],
    ['to_string(ceil(`-0.5`))', '-0'],
    ['to_string(&a)', '{}'],
    ['to_array(`null`)', [null]],
    ['not_null(`null`, `false`)', false],
    ['type(`null`)', 'null'],
    ['join(`""`, `[]`)', ''],
    ['map(&a, `[{"a": 1}, {}]`)', [1, null]],
    ['`1` && `0` && !`0`', false],
    ['`{"a": null}` == `{}`', false],
    ['`{"a": 1, "b": 2}` == `{"b": 2, "a": 1}`', true],
    ["to_number('NaN') == to_number('NaN')", false],
  ])('%s is %j', (expression, expected) => {
    expect(valueOf(expression)).toEqual(expected);
  });

  it.each([
    ["contains(`null`, 'a')", 'contains() needs an array or a string as argument 1, not null'],
    ["starts_with(missing, 'a')", 'starts_with() needs a string as argument 1, not null'],
    ['length(missing)', 'length() needs a string or an array or an object as argument 1, not null'],
    ['merge(`{}`, missing)', 'merge() needs objects, not null'],
    ['contains(`[{"a": 1}]`, `{"a": 1}`)', 'contains() cannot look for an object among others'],
    ['contains(`[[1]]`, `[1]`)', 'contains() cannot look for an array among others'],
    ['sum(`[1, "2"]`)', 'sum() needs an array of numbers as argument 1, not an array'],
    ['sort_by(`[1, "a"]`, &@)', 'the expression must return a number for every item, or a string for every item'],
    ['sort_by(`[1, 2]`, @)', 'sort_by() needs an expression (&…) as argument 2, not an object'],
    ['type(&a)', 'an expression (&…) has no type'],
    ['to_number(&a)', 'an expression (&…) has no type'],
    ["to_string(to_number('Inf'))", 'to_string() cannot write the number Infinity'],
    ['`[1]`[::0]', 'the step of a slice cannot be 0'],
    ['nope(abs(`"x"`))', 'abs() needs a number as argument 1, not a string'],
    ['nope(@)', 'there is no function nope()'],
    ['merge()', 'merge() takes at least 1 argument, not 0'],
    ["join(',')", 'join() takes 2 arguments, not 1'],
  ])('%s fails: %s', (expression, message) => {
    expect(evaluateOver(expression, {})).toEqual({ kind: 'error', message });
  });

  it('has exactly the 26 functions of Go', () => {
    const names = ['items', 'split', 'find_first', 'lower', 'to_object', 'toString', 'constructor', '__proto__'];
    expect(names.map((name) => evaluateOver(`${name}(@)`, {}).kind)).toEqual(names.map(() => 'error'));
  });

  it('does not sort the Pod itself, unlike Go', () => {
    const document = { list: [{ n: 2 }, { n: 1 }] };
    expect(valueOf('[sort_by(list, &n)[0].n, list[0].n, sort(list[].n)[0], reverse(list)[0].n]', document)).toEqual([
      1, 2, 1, 1,
    ]);
    expect(document).toEqual({ list: [{ n: 2 }, { n: 1 }] });
  });
});

describe('to_number', () => {
  it.each([
    ['0x10', null],
    [' 5 ', null],
    ['', null],
    ['5m', null],
    ['1e400', null],
    ['0b1', null],
    ['--1', null],
    ['.', null],
    ['1_', null],
    ['_1', null],
    ['1__0', null],
    ['1._5', null],
    ['+nan', null],
    ['infin', null],
    ['0x1p9999', null],
    ['0xp1', null],
    ['5', 5],
    ['-5.25', -5.25],
    ['+5', 5],
    ['.5', 0.5],
    ['5.', 5],
    ['1E3', 1000],
    ['1_000', 1000],
    ['1e-400', 0],
    ['0x10p0', 16],
    ['-0X_1.8p1', -3],
    ['0x.8p-2', 0.125],
    ['0x1p-9999', 0],
    ['Inf', Infinity],
    ['-infinity', -Infinity],
    ['NaN', NaN],
  ])('%j is %j', (text, expected) => {
    expect(valueOf('to_number(@)', text)).toBe(expected);
  });
  it.each([true, null, [1], { a: 1 }])('%j is null', (value) => {
    expect(valueOf('to_number(@)', value)).toBeNull();
  });
});

describe('projections', () => {
  it('places nulls before the values of an object, like a visible defect of Go', () => {
    expect(valueOf("*.not_null(@, 'x')", { a: 1, b: 2 })).toEqual(['x', 'x', 1, 2]);
    expect(evaluateOver('*.length(@)', { a: 'long' }).kind).toBe('error');
    expect(valueOf('*.length(@)', {})).toEqual([]);
    expect(valueOf('*', { a: 1, b: null })).toEqual([1]);
  });
  it.each(['abs(a)[]', 'abs(a)[?b]', 'abs(a).*'])('%s: returns null for an error on the left', (expression) => {
    expect(valueOf(expression, { a: 'x' })).toBeNull();
  });
  it.each(['merge(a)[]', 'merge(a)[?b]', 'merge(a).*', 'contains(`[[]]`, `[]`)[]'])(
    '%s: keeps an error that ends the evaluation',
    (expression) => {
      expect(evaluateOver(expression, { a: 'x' }).kind).toBe('error');
    },
  );
  it.each(['abs(a)[*]', 'abs(a)[0]', 'abs(a).b', 'a[?abs(@)]'])('%s: keeps an error', (expression) => {
    expect(evaluateOver(expression, { a: ['x'] }).kind).toBe('error');
  });
  it('continues with null after a null', () => {
    expect(evaluateOver('missing.length(@)', {}).kind).toBe('error');
    expect(valueOf("missing.not_null(@, 'x')", {})).toBe('x');
    expect(valueOf('missing.[a]', {})).toBeNull();
  });
  it('keeps the values of an object in document order, unlike Go', () => {
    expect(valueOf('*', { z: 1, a: 2 })).toEqual([1, 2]);
    expect(valueOf('keys(@)', { z: 1, a: 2 })).toEqual(['z', 'a']);
  });
});
