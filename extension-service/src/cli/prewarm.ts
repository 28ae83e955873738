import { access } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { compileRules } from '../core/decide/rules.js';
import { connectCluster, hasCluster } from '../kubernetes/api.js';
import type { ClusterAccess } from '../kubernetes/api.js';
import { ApiStatusError, clusterLists } from '../kubernetes/watch/cluster-lists.js';
import { listWanted } from '../kubernetes/workloads/list-wanted.js';
import type { ListOptions, ListedImages } from '../kubernetes/workloads/list-wanted.js';
import type { CommandContext, ConfigFlags } from './context.js';
import { load } from './context.js';
import { CliError, EXIT } from './exit.js';
import { mirrorOrPlan } from './mirror.js';
import { withCheckDepth } from './mirror-rows.js';
import type { OutputFormat } from './output.js';
import { messageOf } from '../util/message-of.js';
import { namingTarget } from '../kinds/registry-naming.js';

export interface PrewarmFlags extends ConfigFlags {
  readonly kubeconfig?: string;
  readonly output: OutputFormat;
}

/**
 * Maximum number of ways to pull an image: each costs a request at the source, even for an image that does not exist.
 */
const MAX_PULLS = 50;

/**
 * Mirrors every image that the cluster's workloads use: Pods, and the templates of the objects that create them. It
 * skips excluded namespaces and filtered images, as at admission.
 *
 * @returns 0, or 1 if any image was not mirrored
 * @throws CliError without a cluster that can be listed
 */
export async function prewarm(context: CommandContext, flags: PrewarmFlags): Promise<number> {
  const { config } = await load(context, flags);
  const inCluster = { ...context, env: await clusterEnvironment(context, flags.kubeconfig) };
  const cluster = await connect(inCluster);
  const rules = compileRules(config, namingTarget);
  const { wanted, unknown } = await list(cluster, {
    ...{ config, rules },
    onRetry: ({ message }, milliseconds) => {
      context.stderr.write(`${message}; retrying in ${Math.ceil(milliseconds / 1_000)} s\n`);
    },
  });
  const jobs = [...wanted.all()];
  context.stderr.write(`${wanted.objectCount} objects in the cluster use ${jobs.length} images to mirror\n`);
  if (unknown.size > 0) {
    const examples = [...unknown].slice(0, 5).join(', ');
    context.stderr.write(`skipped ${unknown.size} images in targets, because their source is not known: ${examples}\n`);
  }
  const planned = jobs.map(([, image]) => ({
    image: image.job.source,
    job: { ...withCheckDepth(image.job, 'parts'), force: false },
    pulls: image.pulls().slice(0, MAX_PULLS),
  }));
  return mirrorOrPlan(inCluster, config, planned, flags);
}

/** `--kubeconfig`, else KUBECONFIG, else the Pod's own cluster, else `~/.kube/config`. */
async function clusterEnvironment(
  { env, cwd }: CommandContext,
  kubeconfig: string | undefined,
): Promise<CommandContext['env']> {
  if (kubeconfig !== undefined) return { ...env, KUBECONFIG: resolve(cwd, kubeconfig) };
  if (hasCluster(env)) return env;
  const defaultPath = join(env['HOME'] ?? homedir(), '.kube', 'config');
  try {
    await access(defaultPath);
    return { ...env, KUBECONFIG: defaultPath };
  } catch {
    throw new CliError(
      EXIT.usage,
      `there is no cluster to read: set --kubeconfig or KUBECONFIG, or write ${defaultPath}`,
    );
  }
}

async function connect({ env }: CommandContext): Promise<ClusterAccess> {
  try {
    const cluster = await connectCluster(env);
    if (cluster !== undefined) return cluster;
  } catch (error) {
    const reason = messageOf(error);
    const file = env['KUBECONFIG'] ?? '';
    throw new CliError(EXIT.usage, reason.includes(file) ? reason : `cannot use the kubeconfig ${file}: ${reason}`);
  }
  throw new CliError(EXIT.usage, 'there is no cluster to read');
}

async function list(
  { config: kubeconfig, ownNamespace }: ClusterAccess,
  options: Pick<ListOptions, 'config' | 'rules' | 'onRetry'>,
): Promise<ListedImages> {
  const { signal } = new AbortController();
  try {
    return await listWanted({ ...options, lists: clusterLists(kubeconfig), ownNamespace, signal });
  } catch (error) {
    if (!(error instanceof ApiStatusError)) throw error;
    const hint = error.code === 403 ? '; grant the verb list on them, as the chart does' : '';
    throw new CliError(EXIT.infrastructure, `the workloads cannot be listed: ${error.message}${hint}`);
  }
}
