import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { debianTool } from '../tools/debian.js';
import type { Command } from './copy-peers.js';

export interface TimedFigures {
  readonly seconds: number;
  /** User and system CPU time of the program and all its children, seconds. */
  readonly cpu: number;
  /** Peak resident memory of one process, MiB. */
  readonly peak: number;
}

/**
 * Runs a command with GNU time, which also measures short-lived processes.
 *
 * @throws Error with the command's output when it fails
 */
export async function timed([program, ...args]: Command, env: Readonly<Record<string, string>>): Promise<TimedFigures> {
  const time = debianTool('time');
  if (time === undefined) throw new Error('the benchmark needs GNU time');
  const child = spawn(time, ['--format=FIGURES %e %U %S %M', program, ...args], {
    env: { ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let text = '';
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  const [, seconds, user, system, kibibytes] = /^FIGURES (\S+) (\S+) (\S+) (\d+)$/m.exec(text) ?? [];
  if (code !== 0 || seconds === undefined) {
    throw new Error(`${program} ${args.join(' ')}: exit ${code}: ${text.slice(-4_000)}`);
  }
  return { seconds: Number(seconds), cpu: Number(user) + Number(system), peak: Number(kibibytes) / 1_024 };
}
