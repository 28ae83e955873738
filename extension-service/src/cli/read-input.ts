import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import type { CommandContext } from './context.js';

/** The text of a file that a command line names; `-` is standard input. @throws Error of the file system */
export async function readInput({ cwd, stdin }: CommandContext, file: string): Promise<string> {
  return file === '-' ? text(stdin) : readFile(resolve(cwd, file), 'utf8');
}

/** The same as bytes. */
export async function readInputBytes({ cwd, stdin }: CommandContext, file: string): Promise<Uint8Array> {
  return file === '-' ? buffer(stdin) : readFile(resolve(cwd, file));
}
