import { spawn } from 'node:child_process';
import { Readable, Writable } from 'node:stream';
import { runProgram as runCommandLine } from '../../extension-service/src/cli/program.js';
import { compileCacheFlags } from '../setup/compile-cache.js';
import { BUNDLE } from './service.js';

export interface ProgramResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the built program as users do, with exactly this environment; `PATH` is added. */
export function runProgram(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  cwd?: string,
  input = '',
): Promise<ProgramResult> {
  const child = spawn(process.execPath, [...compileCacheFlags(), BUNDLE, ...args], {
    ...(cwd !== undefined && { cwd }),
    env: { PATH: process.env['PATH'] ?? '', ...env },
  });
  child.stdin.end(input);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}

/**
 * Runs the same command line from the sources in this process, with exactly this environment. This takes a tenth of the
 * time. It does not cover what Node itself reads (certificates, proxies), nor logs, which go to the process's stderr.
 */
export async function runHere(
  args: readonly string[],
  {
    env,
    cwd,
    input = '',
  }: { readonly env: Readonly<Record<string, string>>; readonly cwd: string; readonly input?: string },
): Promise<ProgramResult> {
  const [stdout, stderr] = [new Captured(), new Captured()];
  const stdin = Readable.from([Buffer.from(input)]);
  const code = await runCommandLine(args, { stdin, stdout, stderr, env, cwd });
  return { code, stdout: stdout.text(), stderr: stderr.text() };
}

class Captured extends Writable {
  readonly #chunks: Buffer[] = [];

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#chunks.push(chunk);
    done();
  }

  text(): string {
    return Buffer.concat(this.#chunks).toString();
  }
}
