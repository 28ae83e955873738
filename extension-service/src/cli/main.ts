import { isMainThread, workerData } from 'node:worker_threads';
import { runCopyThread } from '../mirror/copy-thread.js';
import { RegistryCopier } from '../mirror/registry-copier.js';
import { isCopyThreadData } from '../mirror/thread-protocol.js';
import { runProgram } from './program.js';

if (!isMainThread && isCopyThreadData(workerData)) {
  runCopyThread(workerData, (data, log) => new RegistryCopier(data.config, process.env, log));
} else {
  const context = {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    entry: process.argv[1] ?? '',
  };
  void runProgram(process.argv.slice(2), context).then((code) => {
    process.exitCode = code;
  });
}
