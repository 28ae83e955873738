import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { goTool } from './tool.js';

const run = promisify(execFile);

/** Signs and verifies manifests of plain-HTTP registries with the tools that people use. */
export interface Signer {
  sign(reference: string): Promise<void>;
  /** Rejects when no signature verifies. */
  verify(reference: string): Promise<void>;
}

/** notation-go, through a small program, with a certificate of its own. */
export async function notation(folder: string): Promise<Signer> {
  const program = await notationProgram();
  await run(program, ['init', folder]);
  return {
    sign: async (reference) => void (await run(program, ['sign', folder, reference])),
    verify: async (reference) => void (await run(program, ['verify', folder, reference])),
  };
}

export async function notationProgram(): Promise<string> {
  return goTool({ module: 'notation', package: '.', command: 'notation' });
}
