import { spawn } from 'node:child_process';

/** Runs a program with JSON on its stdin and parses its stdout as JSON. */
export async function ask(command: string, question: unknown): Promise<unknown> {
  const output = await new Promise<string>((resolve, reject) => {
    const child = spawn(command, [], { stdio: ['pipe', 'pipe', 'inherit'] });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve(Buffer.concat(chunks).toString('utf8'));
      else reject(new Error(`${command} ended with ${code}`));
    });
    child.stdin.end(JSON.stringify(question));
  });
  return JSON.parse(output) as unknown;
}
