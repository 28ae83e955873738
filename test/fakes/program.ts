import { spawn } from 'node:child_process';
import { BUNDLE } from './service.js';

export interface ProgramResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the built program as people do, with exactly this environment; `PATH` is added. */
export function runProgram(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  cwd?: string,
): Promise<ProgramResult> {
  const child = spawn(process.execPath, [BUNDLE, ...args], {
    ...(cwd !== undefined && { cwd }),
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}
