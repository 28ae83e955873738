import { readFile, writeFile } from 'node:fs/promises';
import { format } from 'prettier';

/**
 * A table between two comments of a page: `<!-- NAME -->` and `<!-- /NAME -->`. Tests compare the table with the
 * observed behavior.
 */
export class DocumentedTable {
  private readonly page: URL;
  private readonly marks: readonly [string, string];

  /** @param page path relative to the repository */
  constructor(page: string, name: string) {
    this.page = new URL(`../../../${page}`, import.meta.url);
    this.marks = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  }

  /** Returns the table as text. */
  async text(): Promise<string> {
    const text = await readFile(this.page, 'utf8');
    const [begin, end] = this.#ends(text);
    return text.slice(begin, end).trim();
  }

  /** Returns the lines of the table, header first. */
  async lines(): Promise<string[][]> {
    const lines = (await this.text()).split('\n').map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
    return lines.filter((_, index) => index !== 1);
  }

  /** Writes a table into the page, when the page must change. */
  async write(table: string): Promise<void> {
    const text = await readFile(this.page, 'utf8');
    const [begin, end] = this.#ends(text);
    await writeFile(this.page, `${text.slice(0, begin)}\n\n${table.trim()}\n\n${text.slice(end)}`);
  }

  #ends(text: string): [number, number] {
    const [begin, end] = this.marks.map((mark) => text.indexOf(mark)) as [number, number];
    if (begin < 0 || end < begin) throw new Error(`${this.page.pathname} lacks ${this.marks.join(' … ')}`);
    return [begin + (this.marks[0]?.length ?? 0), end];
  }
}

/** Formats a table as in the pages. @param lines header first */
export async function markdownTable(lines: readonly (readonly string[])[]): Promise<string> {
  const [head = [], ...rows] = lines;
  const text = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  return (await format(text, { parser: 'markdown', printWidth: 120 })).trim();
}

/** Returns the observed behavior of each engine by case, as the table of docs/engines.md. */
export class Outcomes {
  static readonly table = new DocumentedTable('docs/engines.md', 'outcomes');

  private readonly rows = new Map<string, Map<string, string>>();

  constructor(private readonly engines: readonly string[]) {}

  record(engine: string, what: string, outcome: string): void {
    const row = this.rows.get(what) ?? new Map<string, string>();
    row.set(engine, outcome);
    this.rows.set(what, row);
  }

  /** @throws Error that names a case without a result for an engine, because the table must be complete */
  async table(): Promise<string> {
    const rows = [...this.rows].map(([what, row]) => [
      what,
      ...this.engines.map((engine) => {
        const outcome = row.get(engine);
        if (outcome === undefined) throw new Error(`${engine}: not seen: ${what}`);
        return outcome;
      }),
    ]);
    return markdownTable([['', ...this.engines], ...rows]);
  }

  /** Returns the documented column of an engine: row → outcome. */
  static async documented(engine: string): Promise<Record<string, string>> {
    const [head = [], ...rows] = await Outcomes.table.lines();
    const column = head.indexOf(engine);
    if (column < 0) throw new Error(`docs/engines.md has no column ${engine}`);
    return Object.fromEntries(rows.map((cells) => [cells[0] ?? '', cells[column] ?? '']));
  }
}
