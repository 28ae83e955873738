import { readFile } from 'node:fs/promises';

/** The words of a command on a page, split as a shell splits them. */
export type DocumentedCommand = readonly string[];

/** The commands of the block after `<!-- tested: NAME -->`, without comments. @throws Error without such a block */
export async function documentedCommands(
  name: string,
  file = 'docs/install.md',
): Promise<readonly DocumentedCommand[]> {
  const page = await readFile(new URL(`../../../${file}`, import.meta.url), 'utf8');
  const block = new RegExp(`<!-- tested: ${name} -->\\s+\`\`\`sh\\n([^\`]*)\`\`\``).exec(page)?.[1];
  if (block === undefined) throw new Error(`${file} has no commands that are tested as ${name}`);
  return block
    .replaceAll('\\\n', ' ')
    .split('\n')
    .map((line) => line.replace(/\s#.*$/, ''))
    .filter((line) => line.trim() !== '')
    .map((line) => (line.match(/(?:"[^"]*"|[^\s"])+/g) ?? []).map((word) => word.replaceAll('"', '')));
}
