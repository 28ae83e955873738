import { ClusterWork } from '../kubernetes/cluster-work.js';
import { LazyPullSecrets } from '../kubernetes/lazy-pull-secrets.js';
import { openClouds } from '../targets/clouds.js';
import { runCopyThread } from './copy-thread.js';
import { RegistryCopier } from './registry-copier.js';
import type { CopyThreadData } from './thread-protocol.js';

/** Puts the copy thread together: registries, and the cluster once somebody needs it. */
export function startCopyThread(data: CopyThreadData, env: Readonly<Record<string, string | undefined>>): void {
  runCopyThread(data, ({ config }, log, send) => {
    const report = (problem: string): void => log('warn', problem);
    const secrets = new LazyPullSecrets(env, report);
    const readSecret = (name: string, namespace: string | undefined): Promise<string> => secrets.named(name, namespace);
    const pullSecrets = secrets.forPod.bind(secrets);
    const cloud = openClouds({ env, onEvent: (event) => send({ type: 'cloud', event }), report });
    const copier = new RegistryCopier(config, { env, readSecret, pullSecrets, report, cloud });
    copier.start();
    const cluster = new ClusterWork(config, {
      ...{ env, log },
      onCertificate: (pair) => send({ type: 'serving-certificate', pair }),
      onCertificateProblem: (message) => send({ type: 'serving-certificate-problem', message }),
    });
    cluster.start();
    return { copier, readSecret, configure: (next) => cluster.configure(next) };
  });
}
