import ts from 'typescript';

/** A piece of prose in a source file. */
export interface Passage {
  readonly text: string;
  /** Line of the first character, counted from 1. */
  readonly line: number;
}

const MIN_WORDS = 3;

/** The prose of a file: whole Markdown files, comments and messages of programs, comments and descriptions of YAML. */
export function passagesOf(path: string, text: string): readonly Passage[] {
  if (path.endsWith('.md')) return [{ text, line: 1 }];
  if (/\.(?:ts|js|mjs)$/.test(path)) return [...comments(path, text), ...messages(path, text)].sort(byLine);
  if (path.endsWith('.json')) return matches(text, /"(?:title|description|summary)": "((?:[^"\\]|\\.)*)"/g);
  return [
    ...matches(text, /^[ \t]*#[ #]*(.+)$/gm),
    ...matches(text, /\{\{-? *\/\*([\s\S]*?)\*\//g),
    ...matches(text, /^[ \t]*(?:summary|description|message): *(.+)$/gm),
  ].sort(byLine);
}

const byLine = (a: Passage, b: Passage): number => a.line - b.line;

function matches(text: string, pattern: RegExp): Passage[] {
  return [...text.matchAll(pattern)]
    .map((match) => ({ text: match[1] ?? '', line: lineAt(text, match.index) }))
    .filter(({ text: passage }) => isProse(passage));
}

function comments(path: string, text: string): Passage[] {
  const found = new Map<number, Passage>();
  const visit = (node: ts.Node): void => {
    const ranges = [
      ...(ts.getLeadingCommentRanges(text, node.pos) ?? []),
      ...(ts.getTrailingCommentRanges(text, node.end) ?? []),
    ];
    for (const { pos, end } of ranges) {
      const passage = uncommented(text.slice(pos, end));
      if (isProse(passage)) found.set(pos, { text: passage, line: lineAt(text, pos) });
    }
    node.getChildren().forEach(visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true));
  return [...found.values()];
}

/** Removes comment markers but keeps the line breaks, so that line numbers stay correct. */
function uncommented(comment: string): string {
  return comment
    .replace(/^\/\*\*?|\*\/$/g, '')
    .split('\n')
    .map((line) => line.replace(/^\s*(?:\*|\/\/) ?/, '').replace(/^@\w+\s*/, ''))
    .join('\n');
}

function messages(path: string, text: string): Passage[] {
  const found: Passage[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) add(node.text, node);
    else if (ts.isTemplateExpression(node)) {
      add([node.head.text, ...node.templateSpans.map((span) => span.literal.text)].join('X'), node);
    }
    ts.forEachChild(node, visit);
  };
  const add = (message: string, node: ts.Node): void => {
    // Lists of keys in error messages are not sentences.
    const prose = message.replace(/\b(expected one of|its keys are) .*/, '$1');
    if (!message.includes('\n') && isProse(prose)) found.push({ text: prose, line: lineAt(text, node.getStart()) });
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true));
  return found;
}

/** Whether the text has at least three words and most of it is words: not a path, an expression or a header. */
function isProse(text: string): boolean {
  const words = text.split(/\s+/).filter((word) => /^[("'`]?[A-Za-z][A-Za-z'’-]*[)"'`.,:;!?]*$/.test(word));
  return words.length >= MIN_WORDS && words.length * 2 >= text.trim().split(/\s+/).length;
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}
