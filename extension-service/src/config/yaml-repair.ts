const opening = /^( *(?:- +)*)(?:[\w."'-]+ *: +)?(?=(['"]))/;

/**
 * Indents continuation lines of quoted texts that YAML requires to be indented further: go-yaml accepts such texts, and
 * k8s-image-swapper's guide contains policies in this form. Indentation is not part of a quoted string, so its value
 * does not change.
 */
export function indentQuotes(text: string): string {
  const lines = text.split('\n');
  const result: string[] = [];
  let quote: string | undefined;
  let indent = '';
  for (const line of lines) {
    if (quote !== undefined) {
      const own = /^ */.exec(line)?.[0] ?? '';
      result.push(own.length >= indent.length || line.trim() === '' ? line : `${indent}${line.slice(own.length)}`);
      if (closes(line, quote)) quote = undefined;
      continue;
    }
    result.push(line);
    const match = opening.exec(line);
    if (match === null || closes(line.slice(match[0].length + 1), match[2] ?? '')) continue;
    quote = match[2];
    indent = `${' '.repeat(match[1]?.length ?? 0)}  `;
  }
  return result.join('\n');
}

/** Whether the quoted text ends in this line. */
function closes(line: string, quote: string): boolean {
  return (quote === "'" ? line.replaceAll("''", '') : line.replaceAll(/\\./g, '')).includes(quote);
}
