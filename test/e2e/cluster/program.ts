import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { GO_PROGRAMS } from '../../tools/go-programs.js';

export interface ProgramOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Maximum number of characters kept from a program's output. They show why it ended, without hours of logs. */
const KEPT = 60_000;

/** A program of the cluster that runs until it is stopped. */
export class Program {
  #output = '';

  private constructor(
    readonly name: string,
    private readonly child: ChildProcess,
  ) {}

  static start(name: string, { command, args, cwd, env = {} }: ProgramOptions): Program {
    const child = spawn(command, args, {
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '', HOME: cwd, ...GO_PROGRAMS, ...env },
    });
    const program = new Program(name, child);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => (program.#output = `${program.#output}${chunk.toString()}`.slice(-KEPT)));
    }
    child.on('error', (error) => (program.#output += String(error)));
    return program;
  }

  /** The end of the program's output. */
  get output(): string {
    return this.#output;
  }

  /** @throws Error with the end of the output when `ready` is not true in time, or when the program ends */
  async waitFor(what: string, seconds: number, ready: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + seconds * 1000;
    while (Date.now() < deadline && this.running) {
      if (await ready()) return;
      await sleep(200);
    }
    const state = this.running ? 'still runs' : `ended with ${this.child.exitCode ?? this.child.signalCode}`;
    throw new Error(`${this.name} ${state} without ${what}: ${this.#output.slice(-4000)}`);
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null && this.child.pid !== undefined;
  }

  /** Stops the program, and kills it when it does not stop in time. */
  async stop(): Promise<void> {
    if (!this.running) return;
    const exited = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGTERM');
    const force = setTimeout(() => this.child.kill('SIGKILL'), 5_000);
    await exited;
    clearTimeout(force);
  }
}
