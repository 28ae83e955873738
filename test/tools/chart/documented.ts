import { readFile } from 'node:fs/promises';

/** A command of docs/install.md: its words, as a shell splits them. */
export type DocumentedCommand = readonly string[];

/** The commands of the block after `<!-- tested: NAME -->`. @throws Error when there is none */
export async function documentedCommands(name: string): Promise<readonly DocumentedCommand[]> {
  const page = await readFile(new URL('../../../docs/install.md', import.meta.url), 'utf8');
  const block = new RegExp(`<!-- tested: ${name} -->\\s+\`\`\`sh\\n([^\`]*)\`\`\``).exec(page)?.[1];
  if (block === undefined) throw new Error(`docs/install.md has no commands that are tested as ${name}`);
  return block
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => (line.match(/(?:"[^"]*"|[^\s"])+/g) ?? []).map((word) => word.replaceAll('"', '')));
}
