import { readFileSync } from 'node:fs';
import { messageOf } from '../util/message-of.js';

/** Reads a file that a gate names; errors begin with `where`. @throws Error with Node's error code */
export function readText(where: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`${where}: ${(error as NodeJS.ErrnoException).code ?? messageOf(error)}`, { cause: error });
  }
}
