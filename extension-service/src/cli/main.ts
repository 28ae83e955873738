import { isMainThread, workerData } from 'node:worker_threads';
import { LazyPullSecrets } from '../kubernetes/lazy-pull-secrets.js';
import { runCopyThread } from '../mirror/copy-thread.js';
import { RegistryCopier } from '../mirror/registry-copier.js';
import { isCopyThreadData } from '../mirror/thread-protocol.js';
import { runProgram } from './program.js';

if (!isMainThread && isCopyThreadData(workerData)) {
  runCopyThread(workerData, ({ config }, log) => {
    const report = (problem: string): void => log('warn', problem);
    const secrets = new LazyPullSecrets(process.env, report);
    const readSecret = (name: string, namespace: string | undefined): Promise<string> => secrets.named(name, namespace);
    const pullSecrets = secrets.forPod.bind(secrets);
    return { copier: new RegistryCopier(config, { env: process.env, readSecret, pullSecrets, report }), readSecret };
  });
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
