/** A range of a text, and its replacement. Offsets count UTF-16 code units, as in the YAML library. */
export interface TextEdit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/**
 * The text with the edits applied. Equal edits count once.
 * @throws OverlapError if two edits need different texts in one place
 */
export function applyEdits(text: string, edits: readonly TextEdit[]): string {
  const sorted = [...edits].sort((a, b) => a.start - b.start || a.end - b.end);
  const parts: string[] = [];
  let at = 0;
  let previous: TextEdit | undefined;
  for (const edit of sorted) {
    if (previous !== undefined && isSame(previous, edit)) continue;
    if (edit.start < at) throw new OverlapError(edit.start);
    parts.push(text.slice(at, edit.start), edit.text);
    at = edit.end;
    previous = edit;
  }
  return parts.join('') + text.slice(at);
}

export class OverlapError extends Error {
  override readonly name = 'OverlapError';
  constructor(readonly offset: number) {
    super('two edits overlap');
  }
}

function isSame(a: TextEdit, b: TextEdit): boolean {
  return a.start === b.start && a.end === b.end && a.text === b.text;
}
