import { describe, expect, it } from 'vitest';
import { formatProblem } from '../../../extension-service/src/config/problem.js';
import { parse, problemsOf, target } from './parsing.js';

describe('Gatekeeper without the watch, the only trigger of its copies', () => {
  const off = 'policies: {engine: gatekeeper}\nreconcile: {enabled: false}\n';
  const refusal =
    'reconcile.enabled: is false, but policies.engine is gatekeeper: nothing would ever be copied, because Gatekeeper never requests a copy: set it to true, or imageCopyPolicy: none';
  it.each<readonly [string, string, readonly string[]]>([
    ['is refused', `${target}${off}`, [`3:22: ${refusal}`]],
    [
      'is refused where one target is copied to',
      `imageCopyPolicy: none\ntarget: {imageCopyPolicy: delayed, oci: {registry: a.example}}\n${off}`,
      [`4:22: ${refusal}`],
    ],
    ['is fine where nothing is copied anyway', `imageCopyPolicy: none\n${target}${off}`, []],
    ['is fine where no target is copied to', `target: {imageCopyPolicy: none, oci: {registry: a.example}}\n${off}`, []],
    ['is fine with the watch', `${target}policies: {engine: gatekeeper}\n`, []],
    ['is fine with another engine', `${target}reconcile: {enabled: false}\n`, []],
  ])('%s', (_, text, expected) => {
    expect(problemsOf(text)).toEqual(expected);
  });
});

const engine = 'policies: {engine: gatekeeper}\n';
const filters = (...expressions: readonly string[]): string =>
  `${target}${engine}source:\n  filters:\n${expressions.map((text) => `    - jmespath: ${JSON.stringify(text)}\n`).join('')}`;

describe('filters and matches that no one would decide under Gatekeeper', () => {
  const IMAGE = "starts_with(container.image, 'a')";
  const NAMESPACE = "obj.metadata.namespace == 'a'";
  const NAME = "container.name == 'a'";
  const targets = (match: string): string =>
    `${engine}targets:\n  - name: a\n    match: ${JSON.stringify(match)}\n    oci: {registry: a.example}\n`;
  const inexpressible =
    'reads more than container.image, but Gatekeeper sends nothing else, so no Pod would be swapped: use only container.image, or another engine (kyverno, webhook)';
  it.each<readonly [string, string, readonly RegExp[]]>([
    ['a filter about the image is for the service', filters(IMAGE), []],
    ['a filter about the namespace is for the mutators', filters(NAMESPACE), []],
    [
      'a filter about the container is refused at its place',
      filters(IMAGE, NAME),
      [
        /^6:17: source\.filters\[1\]\.jmespath: Gatekeeper cannot decide "container\.name == 'a'", which reads the container: use only /,
      ],
    ],
    ['the same filter is fine with another engine', filters(NAME).replace('gatekeeper', 'kyverno'), []],
    ['a match about the image is fine', targets(IMAGE), []],
    [
      'a match about the Pod is refused, also one that filters could have',
      targets(NAMESPACE),
      [new RegExp(`^4:12: targets\\[0\\]\\.match: ${inexpressible.replaceAll(/[.()]/g, '\\$&')}$`)],
    ],
    ['the same match is fine with another engine', targets(NAMESPACE).replace('gatekeeper', 'webhook'), []],
    [
      'what is not an expression is reported once, as that',
      filters('contains(', NAME),
      [/^5:\d+: source\.filters\[0\]\.jmespath: (?!Gatekeeper)/],
    ],
  ])('%s', (_, text, expected) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(expected.length);
    for (const [index, pattern] of expected.entries()) expect(problems[index]).toMatch(pattern);
  });
});

describe('Pods that the service excludes if it sees them', () => {
  const warnings = (text: string): readonly string[] => parse(text).warnings.map(({ key }) => key);
  it('are a warning under Gatekeeper, which shows no owner', () => {
    expect(warnings(`${target}${engine}`)).toEqual(['source.operators']);
    expect(warnings(target)).toEqual([]);
  });

  it('cause no warning once their namespaces are excluded or absent', () => {
    expect(warnings(`${target}policies: {engine: gatekeeper, excludedNamespaces: [databases]}\n`)).toEqual([]);
    expect(warnings(`${target}${engine}source: {operators: []}\n`)).toEqual([]);
  });

  it('cause no warning if each operator has a label, which the policies exclude', () => {
    const operators = '{apiGroup: a.example.com, kind: A, label: a}';
    expect(warnings(`${target}${engine}source: {operators: [${operators}]}\n`)).toEqual([]);
    const other = '{apiGroup: b.example.com, kind: B}';
    expect(warnings(`${target}${engine}source: {operators: [${operators}, ${other}]}\n`)).toEqual(['source.operators']);
  });
});

describe('additional fields of swapped Pods', () => {
  const pods = 'pods: {pullSecret: mirror, annotate: true}\n';
  it.each(['gatekeeper', 'mutatingadmissionpolicy'])('are refused under %s, which only writes images', (name) => {
    const text = `imageSwapPolicy: always\n${target}policies: {engine: ${name}}\n${pods}`;
    expect(problemsOf(text)).toEqual([
      expect.stringContaining(`pods.pullSecret: has no effect, because policies.engine is ${name}`),
      expect.stringContaining(`pods.annotate: has no effect, because policies.engine is ${name}`),
    ]);
  });

  it.each(['kyverno', 'kyverno-clusterpolicy', 'webhook'])('are accepted under %s', (name) => {
    expect(problemsOf(`${target}policies: {engine: ${name}}\n${pods}`)).toEqual([]);
  });

  it.each(['UPPER', 'a b', '../x', '-a', '{{ a }}'])('accept no Secret named %j', (name) => {
    const [problem] = problemsOf(`${target}pods: {pullSecret: ${JSON.stringify(name)}}\n`);
    expect(problem).toContain('pods.pullSecret');
  });
});

describe('copies that admissions wait for', () => {
  const told = (text: string): readonly string[] =>
    parse(`${text}source: {operators: []}\n`).warnings.map(formatProblem);
  const warning =
    'does not wait for copies: policies.engine is gatekeeper, whose requests start no copy; it works like delayed: set delayed, or use another engine (kyverno, webhook)';
  it.each<readonly [string, string, readonly string[]]>([
    [
      'do not exist under Gatekeeper',
      `${target}${engine}imageCopyPolicy: immediate\n`,
      [`image-swapper.yaml:3:18: imageCopyPolicy: ${warning}`],
    ],
    [
      'nor for one target',
      `target: {imageCopyPolicy: force, oci: {registry: a.example}}\n${engine}`,
      [`image-swapper.yaml:1:27: target.imageCopyPolicy: ${warning}`],
    ],
    ['are with another engine', `${target}imageCopyPolicy: immediate\n`, []],
    ['and copies that nobody waits for are fine', `${target}${engine}imageCopyPolicy: delayed\n`, []],
  ])('%s', (_, text, expected) => {
    expect(told(text)).toEqual(expected);
  });
});
