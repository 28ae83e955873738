import type { MirrorJob, PullContext } from '../core/decide/mirror-job.js';
import type { Credentials, Keychain } from '../registry/types.js';

/** Whether the API server has shown a Pod, or a workload, that uses the image with the job's pull context. */
export type IsShown = (job: MirrorJob) => Promise<boolean>;

/**
 * The pull secrets that an unauthenticated request names. Nothing is read for them before a registry asks for
 * credentials and the API server has shown such a Pod: a forged request uses nobody's secrets.
 */
export class ShownSecrets implements Keychain {
  private secrets: Promise<Keychain | undefined> | undefined;

  constructor(
    private readonly job: MirrorJob,
    private readonly isShown: IsShown,
    private readonly load: () => Promise<Keychain | undefined>,
  ) {}

  async resolve(host: string, repository: string): Promise<readonly Credentials[]> {
    this.secrets ??= this.open();
    return (await (await this.secrets)?.resolve(host, repository)) ?? [];
  }

  private async open(): Promise<Keychain | undefined> {
    return (await this.isShown(this.job).catch(() => false)) ? this.load() : undefined;
  }
}

/** What to tell about a copy that a registry refused because no secret was used. */
export function notShownHint({ namespace }: PullContext): string {
  return (
    `; the caller is not authenticated, so pull secrets count once a Pod of namespace ${namespace} that uses the image ` +
    'is seen: to use them at once, set auth or tls.clients for the route'
  );
}
