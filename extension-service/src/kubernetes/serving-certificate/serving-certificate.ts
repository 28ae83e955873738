import type { LiveConfig } from '../live-config.js';
import { ProblemLog } from '../problem-log.js';
import { advance } from './advance.js';
import type { CertificateEnvironment } from './advance.js';
import type { CertificateMaterial, KeyPair } from './material.js';
import { notAfter } from './material.js';
import { unusableReason } from './next-step.js';
import { messageOf } from '../../util/message-of.js';

/** The certificate that the service presents from now on. */
export interface ServingPair extends KeyPair {
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
}

export interface ServingCertificateOptions {
  readonly world: CertificateEnvironment;
  readonly config: LiveConfig;
  readonly onCertificate: (pair: ServingPair) => void;
  readonly onProblem: (message: string) => void;
  readonly log: (level: 'info' | 'warn', message: string) => void;
}

/** Milliseconds between two checks of the Secret, and after a failed one. */
const POLL_MS = { usual: 30_000, failed: 3_000 };

/**
 * Every replica's part of a certificate that they share in a Secret: fills an empty Secret, uses its content, and
 * follows later changes. The leader rotates it.
 */
export class ServingCertificate {
  private presented: string | undefined;

  constructor(private readonly options: ServingCertificateOptions) {}

  /** Maintains it until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { config, onProblem, log } = this.options;
    const problems = new ProblemLog(log);
    while (!signal.aborted) {
      let pause: number = POLL_MS.usual;
      try {
        await this.look();
        problems.update([], 'the serving certificate can be read again');
      } catch (error) {
        const problem = messageOf(error);
        problems.update([problem], '');
        onProblem(problem);
        pause = POLL_MS.failed;
      }
      await config.pause(pause, signal);
    }
  }

  /** Presents the certificate if it has changed. */
  take({ leaf }: CertificateMaterial): void {
    if (leaf === undefined || leaf.cert === this.presented) return;
    this.presented = leaf.cert;
    this.options.onCertificate({ ...leaf, notAfter: notAfter(leaf.cert) });
  }

  private async look(): Promise<void> {
    const { world, config, log } = this.options;
    // Any replica may create the first certificate, because without it none can answer.
    const { material, step } = await advance(
      world,
      () => ({ names: config.current().tls.dnsNames, published: false }),
      (_, before) => unusableReason(before, world.now()) !== undefined,
    );
    if ('reason' in step) log('info', `serving certificate created: ${step.reason}`);
    this.take(material);
  }
}
