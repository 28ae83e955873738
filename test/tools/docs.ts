import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));
export const read = (file: string): string => readFileSync(join(root, file), 'utf8');

/** Paths of the pages for users, relative to the repository. */
export const pages = [
  'README.md',
  'cdk8s/README.md',
  'cdk8s/examples/platform-repo/README.md',
  'policies/README.md',
  'extension-service/chart/README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file}`),
];

/** The code blocks of a page in the given languages, in order. The indentation of a surrounding list is removed. */
export function blocks(page: string, ...languages: readonly string[]): string[] {
  const fence = new RegExp(`^( *)\`\`\`(?:${languages.join('|')})\\n(.*?)^ *\`\`\`$`, 'gms');
  return [...read(page).matchAll(fence)].map(([, indent = '', text = '']) =>
    text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  );
}

/** The shell lines of a page, without prompts. Continued lines are joined. */
export function shellLines(page: string): string[] {
  return blocks(page, 'sh', 'console')
    .join('\n')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => line.trim().replace(/^\$ /, ''));
}

/**
 * The commands of one program on a page, including those behind a pipe and those in the service's Pod. A command ends
 * before a pipe.
 */
export function commandsOf(page: string, program: string): string[] {
  return shellLines(page)
    .map((line) =>
      line.replace(/\s#.*$/, '').replace(/^.* -- \/usr\/bin\/node \/app\/image-swapper\.cjs /, 'image-swapper '),
    )
    .flatMap((line) => (line.startsWith('alias ') ? [] : line.split(/ \| | && /)))
    .map((command) => command.trim())
    .filter((command) => command.startsWith(`${program} `));
}
