import { readFile } from 'node:fs/promises';
import type { Config } from '../core/config/model.js';
import { engineOf } from '../core/engines/engines.js';
import type { ClusterAccess } from './api.js';
import type { LeaderTask } from './leader-task.js';
import type { MirroredImages } from './image-table/mirrored-images.js';
import type { LiveConfig } from './live-config.js';
import { ManagedPolicies } from './managed-policies/managed-policies.js';
import { PolicyObjects } from './managed-policies/policy-objects.js';
import type { CertificateEnvironment } from './serving-certificate/advance.js';
import type { OpenedCertificate } from './serving-certificate/open.js';
import { bundleOf } from './serving-certificate/material.js';
import { publishCa } from './serving-certificate/publish.js';
import { CertificateRotation } from './serving-certificate/rotation.js';

export interface LeaderTasksOptions {
  readonly cluster: ClusterAccess;
  readonly config: LiveConfig;
  /** With `tls.mode: selfSigned`. */
  readonly certificate?: OpenedCertificate;
  /** The images in the targets. */
  readonly images?: MirroredImages;
  readonly log: (level: 'info' | 'warn', message: string) => void;
}

/** Whether a configuration makes the service write to the cluster, and not only copy images. */
export function writesIntoCluster({ tls, policies }: Config): boolean {
  return tls.mode === 'selfSigned' || policies.manage;
}

/** Tasks in the cluster that one replica does for all of them. */
export async function leaderTasks(options: LeaderTasksOptions): Promise<readonly LeaderTask[]> {
  const { cluster, config, certificate, images, log } = options;
  const tasks: LeaderTask[] = [];
  if (certificate !== undefined) {
    tasks.push(
      new CertificateRotation({
        ...{ config, log },
        world: certificate.environment,
        publish: (bundle) => publishCa(cluster, config.current(), bundle),
        onMaterial: (material) => certificate.serving.take(material),
      }),
    );
  }
  if (config.current().policies.manage) {
    tasks.push(
      new ManagedPolicies({
        ...{ config, log },
        ...(images !== undefined && { images }),
        objects: await PolicyObjects.connect(cluster),
        namespace: cluster.namespace,
        caBundle: (current) => caFor(current, certificate?.environment),
      }),
    );
  }
  return tasks;
}

/** The CA certificates in managed policies. */
async function caFor(
  { policies, tls }: Config,
  environment: CertificateEnvironment | undefined,
): Promise<string | undefined> {
  if (engineOf(policies)?.transport?.ca.place !== 'policy') return undefined;
  if (tls.mode === 'selfSigned' && environment !== undefined) {
    const bundle = bundleOf((await environment.secret.read()).material);
    if (bundle === '') throw new Error('the policies wait for the serving certificate, which does not exist yet');
    return bundle;
  }
  if (policies.caFile === undefined) return undefined;
  try {
    return await readFile(policies.caFile, 'utf8');
  } catch (error) {
    throw new Error(`policies.caFile ${policies.caFile}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
      cause: error,
    });
  }
}
