import { isMainThread, workerData } from 'node:worker_threads';
import { isCopyThreadData } from '../mirror/thread-protocol.js';

/** One file for the program and for its copy thread; each loads only what it needs. */
async function main(): Promise<void> {
  if (!isMainThread && isCopyThreadData(workerData)) {
    const { startCopyThread } = await import('../mirror/start-copy-thread.js');
    startCopyThread(workerData, process.env);
    return;
  }
  const { runProgram } = await import('./program.js');
  process.exitCode = await runProgram(process.argv.slice(2), {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    entry: process.argv[1] ?? '',
  });
}

void main();
