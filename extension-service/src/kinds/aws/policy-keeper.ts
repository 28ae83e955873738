import type { RegistryError } from '../../registry/errors.js';
import { Limiter } from '../../registry/limiter.js';
import type { EcrContext } from './context.js';
import { applyPolicies, desiredPolicies, readPoliciesTag } from './policies.js';
import type { DesiredPolicies } from './policies.js';
import { awsProblem } from './problems.js';
import { sleep } from '../../util/sleep.js';
import { inTime } from '../../util/in-time.js';

export interface PolicyKeeperOptions extends EcrContext {
  /** Delay in milliseconds before the second try, doubled for each further one. @default 5000 */
  readonly base?: number;
  /** Maximum delay in milliseconds. @default 600000 */
  readonly max?: number;
  readonly random?: () => number;
}

/** Maximum number of repositories remembered as up to date; a forgotten one only costs another request. */
const MAX_REMEMBERED = 20_000;
/** Maximum parallel repositories: policies are never urgent, and AWS does not publish these calls' quotas. */
const MAX_PARALLEL = 2;
/** Time limit in milliseconds for one repository, including the SDK's retries. */
const POLICY_TIMEOUT_MS = 60_000;
/** ECR's limit for the tags of a resource. */
const TAG_LIMIT = 50;

/**
 * Keeps the policies of the repositories that images are pushed to up to date, in parallel with the pushes: new
 * repositories get them, and others when their tag shows different ones. Failures are reported and retried; no image
 * waits for it.
 */
export class PolicyKeeper {
  readonly #desired: DesiredPolicies | undefined;
  readonly #seen = new Map<string, Promise<void>>();
  readonly #limiter = new Limiter(MAX_PARALLEL);
  readonly #stop = new AbortController();

  constructor(private readonly options: PolicyKeeperOptions) {
    this.#desired = options.aws.repositories.mode === 'api' ? desiredPolicies(options.aws) : undefined;
  }

  /** The required policies; undefined if the configuration sets none. */
  get desired(): DesiredPolicies | undefined {
    return this.#desired;
  }

  /** Whether repositories get our tag, so that outdated or failed policies are found again. */
  get setsMark(): boolean {
    return this.#desired !== undefined && this.options.aws.ecrOptions.tags.length < TAG_LIMIT;
  }

  /** The repository is new. */
  created(repository: string): void {
    if (this.#desired !== undefined) this.#see(repository, this.#desired, true);
  }

  /** An image was pushed to it, or found there. */
  used(repository: string): void {
    if (this.#desired === undefined || !this.setsMark || !this.options.aws.repositories.reconcilePolicies) return;
    if (!this.#seen.has(repository)) this.#see(repository, this.#desired, false);
  }

  /** Resolves when all work is done, or after `milliseconds`. */
  async settled(milliseconds: number): Promise<void> {
    const all = Promise.all(this.#seen.values()).then(() => undefined);
    await inTime(all, milliseconds, () => undefined);
  }

  stop(): void {
    this.#stop.abort();
  }

  #see(repository: string, desired: DesiredPolicies, isNew: boolean): void {
    this.#seen.set(repository, this.#untilDone(repository, desired, isNew));
    if (this.#seen.size <= MAX_REMEMBERED) return;
    const [oldest] = this.#seen.keys();
    if (oldest !== undefined) this.#seen.delete(oldest);
  }

  /** Never rejects. */
  async #untilDone(repository: string, desired: DesiredPolicies, isNew: boolean): Promise<void> {
    const { base = 5_000, max = 600_000, random = Math.random } = this.options;
    for (let tries = 0; !this.#stop.signal.aborted; tries++) {
      const problem = await this.#limiter.run(() => this.#try(repository, desired, isNew));
      if (problem === undefined) return;
      const pause = Math.min(max, base * 2 ** tries) * (0.5 + 0.5 * random());
      await sleep(pause, this.#stop.signal, { ref: false });
    }
  }

  /** One try; reports the failure. */
  async #try(repository: string, desired: DesiredPolicies, isNew: boolean): Promise<RegistryError | undefined> {
    const { registry, host, names, onEvent } = this.options;
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(POLICY_TIMEOUT_MS)]);
    try {
      const clients = await this.options.clients();
      if (!isNew && (await readPoliciesTag(clients, names.arn(repository), signal)) === desired.hash) return undefined;
      await applyPolicies(clients, names, repository, { ...desired, mark: this.setsMark }, signal);
      onEvent({ kind: 'repository', registry, repository, action: 'policies', outcome: 'ok' });
      return undefined;
    } catch (error) {
      if (this.#stop.signal.aborted) return undefined;
      const problem = awsProblem(host, 'ecr', names.arn(repository), error);
      const { kind: outcome, message } = problem;
      onEvent({ kind: 'repository', registry, repository, action: 'policies', outcome, message });
      return problem;
    }
  }
}
