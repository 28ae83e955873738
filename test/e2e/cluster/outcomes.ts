import { readFile, writeFile } from 'node:fs/promises';
import { format } from 'prettier';

const DOCUMENT = new URL('../../../docs/engines.md', import.meta.url);
const [BEGIN, END] = ['<!-- outcomes -->', '<!-- /outcomes -->'];

/** The observed behavior of each engine, by case, as a table for people. */
export class Outcomes {
  private readonly rows = new Map<string, Map<string, string>>();

  constructor(private readonly engines: readonly string[]) {}

  record(engine: string, what: string, outcome: string): void {
    const row = this.rows.get(what) ?? new Map<string, string>();
    row.set(engine, outcome);
    this.rows.set(what, row);
  }

  /** @throws Error naming a case that was not seen in an engine: the table must have no holes */
  async table(): Promise<string> {
    const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
    const rows = [...this.rows].map(([what, row]) =>
      line([
        what,
        ...this.engines.map((engine) => {
          const outcome = row.get(engine);
          if (outcome === undefined) throw new Error(`${engine}: not seen: ${what}`);
          return outcome;
        }),
      ]),
    );
    const head = [line(['', ...this.engines]), line(['---', ...this.engines.map(() => '---')])];
    return format([...head, ...rows].join('\n'), { parser: 'markdown', printWidth: 120 });
  }
}

/** The table that the document shows. */
export async function documentedOutcomes(): Promise<string> {
  const text = await readFile(DOCUMENT, 'utf8');
  return text.slice(text.indexOf(BEGIN) + BEGIN.length, text.indexOf(END)).trim();
}

/** Puts the table into the document, when the document is to be changed on purpose. */
export async function documentOutcomes(table: string): Promise<void> {
  const text = await readFile(DOCUMENT, 'utf8');
  const [before, after] = [text.slice(0, text.indexOf(BEGIN)), text.slice(text.indexOf(END))];
  await writeFile(DOCUMENT, `${before}${BEGIN}\n\n${table.trim()}\n\n${after}`);
}
