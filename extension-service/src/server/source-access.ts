import type { MirrorJob } from '../core/decide/mirror-job.js';
import type { SourceAccess } from '../core/decide/source-access.js';
import { BoundedMap } from '../util/bounded-map.js';
import { messageOf } from '../util/message-of.js';
import { inTime } from '../util/in-time.js';

/** Maximum public images to remember; the oldest are dropped first. */
const MAX_REMEMBERED = 20_000;

type Check = (job: MirrorJob, digest: string | undefined, milliseconds: number) => Promise<SourceAccess>;

/**
 * Asks the background worker whether a Pod may read an image, never for longer than the admission has. Images that
 * everyone may read cost no message; for others it asks each time, since only the worker knows about changes.
 */
export class SourceAccessGate {
  private open = new BoundedMap<string, number>(MAX_REMEMBERED);

  constructor(
    private readonly ask: Check,
    private readonly now: () => number,
  ) {}

  async check(job: MirrorJob, digest: string | undefined, milliseconds: number): Promise<SourceAccess> {
    const { open } = this;
    const key = JSON.stringify([job.source, digest, job.platforms]);
    const freshFor = (open.get(key) ?? 0) - this.now();
    if (freshFor > 0) return { state: 'granted', to: 'everybody', freshFor };
    const message = `${job.source}: not known in time whether the Pod can read it at its source`;
    const unknown: SourceAccess = { state: 'unknown', message };
    if (milliseconds <= 0) return unknown;
    // The worker answers shortly before, with the last grant if there is one.
    const asked = this.ask(job, digest, milliseconds * 0.9).catch((error: unknown): SourceAccess => ({
      state: 'unknown',
      message: messageOf(error),
    }));
    const access = await inTime(asked, milliseconds, () => unknown);
    if (access.state === 'granted' && access.to === 'everybody' && access.freshFor > 0)
      open.set(key, this.now() + access.freshFor);
    return access;
  }

  /** Answers depend on the configuration, including pending ones. */
  forget(): void {
    this.open = new BoundedMap(MAX_REMEMBERED);
  }
}
