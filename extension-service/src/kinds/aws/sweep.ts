import type { AwsConfig } from './config.js';
import type { AwsClients } from './clients.js';
import type { EcrContext } from './context.js';
import type { PolicyKeeper } from './policy-keeper.js';
import { named, readPoliciesTag } from './policies.js';
import type { EcrNames } from './policies.js';
import { awsProblem } from './problems.js';
import { sleep } from '../../util/sleep.js';

export interface SweepOptions extends EcrContext {
  readonly keeper: PolicyKeeper;
  /** Milliseconds before the first check, and between two checks. */
  readonly first: number;
  readonly interval: number;
}

/**
 * Milliseconds between two repositories: AWS does not publish the quota of ListTagsForResource, and there is no hurry.
 */
const PACE = 100;

/** Periodically checks all repositories with our tag, and corrects those whose policies differ. */
export class PolicySweep {
  readonly #stop = new AbortController();

  constructor(private readonly options: SweepOptions) {}

  /** Runs until stopped. Never rejects. */
  async run(): Promise<void> {
    const { first, interval, registry, host, names, onEvent, aws, keeper } = this.options;
    if (keeper.desired === undefined) return;
    let pause = first;
    for (;;) {
      // Spread over half of the interval, because replicas start together.
      await this.#pause(pause * (0.5 + 0.5 * Math.random()));
      if (this.#stop.signal.aborted) return;
      try {
        const drifted = await driftedRepositories(await this.options.clients(), aws, names, keeper.desired.hash, {
          signal: this.#stop.signal,
          pace: PACE,
        });
        onEvent({ kind: 'drift', registry, repositories: drifted.length });
        for (const repository of drifted) keeper.used(repository);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        const { message, kind: outcome } = awsProblem(host, 'ecr:DescribeRepositories', names.arn('*'), error);
        onEvent({ kind: 'repository', registry, repository: '*', action: 'policies', outcome, message });
      }
      pause = interval;
    }
  }

  stop(): void {
    this.#stop.abort();
  }

  async #pause(milliseconds: number): Promise<void> {
    await sleep(milliseconds, this.#stop.signal, { ref: false });
  }
}

/**
 * The target's repositories whose tag `image-swapper.io/policies` contains another hash. Repositories without the tag
 * belong to someone else, or get it with the next image.
 *
 * @throws AwsCallError
 */
export async function driftedRepositories(
  clients: AwsClients,
  aws: AwsConfig,
  names: EcrNames,
  hash: string,
  { signal, pace }: { readonly signal: AbortSignal; readonly pace: number },
): Promise<string[]> {
  const drifted: string[] = [];
  for await (const repository of targetRepositories(clients, aws, names, signal)) {
    const mark = await readPoliciesTag(clients, names.arn(repository), signal);
    if (mark !== undefined && mark !== hash) drifted.push(repository);
    if (pace > 0) await sleep(pace, signal);
    signal.throwIfAborted();
  }
  return drifted;
}

/** The repositories that may contain the target's images: under its prefix, followed by a source's host. */
export async function* targetRepositories(
  { sdk, ecr }: AwsClients,
  { accountId, prefix }: AwsConfig,
  names: EcrNames,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const start = prefix === '' ? '' : `${prefix}/`;
  let nextToken: string | undefined;
  do {
    const command = new sdk.DescribeRepositoriesCommand({
      registryId: accountId,
      maxResults: 1_000,
      ...(nextToken !== undefined && { nextToken }),
    });
    const page = await named('ecr:DescribeRepositories', names.arn('*'), ecr.send(command, { abortSignal: signal }));
    for (const { repositoryName = '' } of page.repositories ?? []) {
      if (!repositoryName.startsWith(start)) continue;
      const host = repositoryName.slice(start.length).split('/')[0] ?? '';
      if (/[._]/.test(host) || host === 'localhost') yield repositoryName;
    }
    nextToken = page.nextToken;
  } while (nextToken !== undefined);
}
