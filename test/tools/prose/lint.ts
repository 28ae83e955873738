import { createRequire } from 'node:module';
import { TextlintKernel, TextlintKernelDescriptor } from '@textlint/kernel';
import { bannedTurnsRule } from './banned-turns-rule.js';
import { passagesOf, type Passage } from './passages.js';

export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly rule: string;
  readonly message: string;
}

/** Maximum length of a sentence in characters, about 45 words. */
const MAX_SENTENCE_CHARACTERS = 260;
const MAX_COMMAS = 6;

export async function lintProse(path: string, text: string): Promise<readonly Finding[]> {
  const passages = passagesOf(path, text);
  const { document, lines } = joined(passages);
  const { messages } = await new TextlintKernel().lintText(document, { ...descriptor().toKernelOptions(), ext: '.md' });
  return messages.map(({ ruleId, message, loc }) => ({
    path,
    line: lines[loc.start.line - 1] ?? loc.start.line,
    rule: ruleId,
    message: message.split('\n')[0] ?? '',
  }));
}

function descriptor(): TextlintKernelDescriptor {
  return new TextlintKernelDescriptor({
    plugins: [{ pluginId: 'markdown', plugin: library('@textlint/textlint-plugin-markdown'), options: true }],
    rules: [
      { ruleId: 'banned-turns', rule: bannedTurnsRule, options: true },
      {
        ruleId: 'sentence-length',
        rule: library('textlint-rule-sentence-length'),
        options: { max: MAX_SENTENCE_CHARACTERS },
      },
      { ruleId: 'max-comma', rule: library('textlint-rule-max-comma'), options: { max: MAX_COMMAS } },
      { ruleId: 'misspellings', rule: library('textlint-rule-common-misspellings'), options: true },
    ],
    filterRules: [],
  });
}

/** Loads a rule or plugin of textlint. Their packages do not have types. */
function library(name: string): never {
  const loaded = createRequire(import.meta.url)(name) as { readonly default?: unknown };
  return (loaded.default ?? loaded) as never;
}

/** Joins the passages to one document and maps each of its lines to a line of the source. */
function joined(passages: readonly Passage[]): { readonly document: string; readonly lines: readonly number[] } {
  const texts: string[] = [];
  const lines: number[] = [];
  for (const { text, line } of passages) {
    for (const [index, row] of text.split('\n').entries()) {
      texts.push(passages.length > 1 ? row.trim() : row);
      lines.push(line + index);
    }
    texts.push('');
    lines.push(line);
  }
  return { document: texts.join('\n'), lines };
}
