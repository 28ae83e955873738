import { ClusterSide } from '../kubernetes/cluster-side.js';
import { LazyPullSecrets } from '../kubernetes/lazy-pull-secrets.js';
import { openClouds } from '../targets/clouds.js';
import { runCopyThread } from './copy-thread.js';
import { RegistryCopier } from './registry-copier.js';
import type { CopyThreadData } from './thread-protocol.js';
import { together } from './together.js';

/** Milliseconds within which many changes are one. */
const TOGETHER = 500;

/** Puts the copy thread together: registries, and the cluster's secrets once somebody needs them. */
export function startCopyThread(data: CopyThreadData, env: Readonly<Record<string, string | undefined>>): void {
  runCopyThread(data, ({ config }, { log, onCloudEvent, onClusterEvent, onRequest }) => {
    const report = (problem: string): void => log('warn', problem);
    const secrets = new LazyPullSecrets({
      env,
      reader: config.secretReader,
      watch: true,
      onProblem: report,
      onDebug: (message) => log('debug', message),
      onRotated: together(TOGETHER, (namespaces) => onClusterEvent({ kind: 'pull-secrets-changed', namespaces })),
    });
    const readSecret = (name: string, namespace: string | undefined): Promise<string> => secrets.named(name, namespace);
    const cloud = openClouds({ env, onEvent: onCloudEvent, report });
    const copier = new RegistryCopier(config, { env, readSecret, pullSecrets: secrets, report, cloud, onRequest });
    copier.start();
    const cluster = new ClusterSide(config, { env, log, emit: onClusterEvent });
    cluster.start();
    return { copier, readSecret, cluster };
  });
}
