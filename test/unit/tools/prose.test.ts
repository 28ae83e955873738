import { describe, expect, it } from 'vitest';
import { aboveBaseline, countsOf, shrinkBaseline } from '../../tools/prose/baseline.js';
import { lintProse, type Finding } from '../../tools/prose/lint.js';

const finding = (path: string, rule: string, line = 1): Finding => ({ path, rule, line, message: '' });
const places = async (path: string, text: string): Promise<string[]> =>
  (await lintProse(path, text)).map(({ line, rule }) => `${line} ${rule}`);

describe('the prose linter', () => {
  it('reads Markdown without its code', async () => {
    const text =
      'A fine sentence.\n\nThe target has it not.\n\n```\nThe target has it not.\n```\n\nUse `has it not`.\n';
    expect(await places('docs/page.md', text)).toEqual(['3 banned-turns']);
  });

  it('reads comments and messages of a program with their lines', async () => {
    const text = [
      '/**',
      ' * Copies an image.',
      ' * @returns whoever asks gets the digest',
      ' */',
      "const message = 'the Pod is made anew by somebody';",
      'const other = `the copy of ${image} is told on stderr`;',
      "const notProse = 'keys(@) anew';",
    ].join('\n');
    expect(await places('src/x.ts', text)).toEqual(['3 banned-turns', '5 banned-turns', '6 banned-turns']);
  });

  it('reads comments and descriptions of YAML and titles of a dashboard', async () => {
    expect(await places('chart/values.yaml', 'a: 1\n# Whoever may ask for it.\nb: 2\n')).toEqual(['2 banned-turns']);
    expect(await places('a/dashboards/b.json', '{\n "title": "Copies that are told twice"\n}')).toEqual([
      '2 banned-turns',
    ]);
  });

  it('allows "there is no", and not "is no" for "is not a"', async () => {
    expect(await places('docs/page.md', 'There is no Lease.\n\nIf there are no Pods, it waits.\n')).toEqual([]);
    expect(await places('docs/page.md', 'The text is no JSON.\n')).toEqual(['1 banned-turns']);
  });

  it('reports sentences that are too long', async () => {
    const long = `The service ${'reads one more word of this text and '.repeat(9)}stops.`;
    expect(await places('docs/page.md', long)).toEqual(['1 sentence-length']);
  });
});

describe('the baseline', () => {
  const baseline = { 'a.ts': { 'banned-turns': 2 }, 'gone.ts': { 'max-comma': 1 } };

  it('allows as many findings of a rule as the file had before', () => {
    const two = [finding('a.ts', 'banned-turns', 1), finding('a.ts', 'banned-turns', 9)];
    expect(aboveBaseline(baseline, two)).toEqual([]);
    const three = [...two, finding('a.ts', 'banned-turns', 12)];
    expect(aboveBaseline(baseline, three)).toEqual(three);
  });

  it('allows no finding in a new file, nor of another rule', () => {
    const findings = [finding('new.ts', 'banned-turns'), finding('a.ts', 'max-comma')];
    expect(aboveBaseline(baseline, findings)).toEqual(findings);
  });

  it('shrinks and never grows', () => {
    const findings = [finding('a.ts', 'banned-turns'), finding('a.ts', 'max-comma'), finding('new.ts', 'max-comma')];
    expect(shrinkBaseline(baseline, findings)).toEqual({ 'a.ts': { 'banned-turns': 1 } });
    expect(countsOf(findings)).toEqual({
      'a.ts': { 'banned-turns': 1, 'max-comma': 1 },
      'new.ts': { 'max-comma': 1 },
    });
  });
});
