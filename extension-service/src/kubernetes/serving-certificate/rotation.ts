import type { LeaderTask } from '../leader-task.js';
import type { LiveConfig } from '../live-config.js';
import { ProblemLog } from '../problem-log.js';
import { advance } from './advance.js';
import type { CertificateEnvironment } from './advance.js';
import type { CertificateMaterial } from './material.js';
import { bundleOf } from './material.js';
import type { Step } from './next-step.js';
import type { Published } from './publish.js';
import { messageOf } from '../../util/message-of.js';

export interface RotationOptions {
  readonly world: CertificateEnvironment;
  readonly config: LiveConfig;
  /** Publishes the CA certificates to their verifiers. */
  readonly publish: (bundle: string) => Promise<Published>;
  /** Receives what the leader wrote, without waiting for the next check of the Secret. */
  readonly onMaterial: (material: CertificateMaterial) => void;
  readonly log: (level: 'info' | 'warn', message: string) => void;
}

/** Milliseconds between two checks, and after a failure. */
const CHECK_INTERVALS_MS = { usual: 30_000, failed: 10_000 };

/** The leader's part of the serving certificate: publishes the CA certificate, rotates both. */
export class CertificateRotation implements LeaderTask {
  readonly name = 'serving certificate';

  constructor(private readonly options: RotationOptions) {}

  async lead(signal: AbortSignal): Promise<void> {
    const { config, log } = this.options;
    const problems = new ProblemLog(log);
    while (!signal.aborted) {
      let failed: readonly string[];
      try {
        failed = await this.pass(signal);
      } catch (error) {
        failed = [messageOf(error)];
      }
      problems.update(failed, 'rotation of the serving certificate works again');
      await config.pause(failed.length === 0 ? CHECK_INTERVALS_MS.usual : CHECK_INTERVALS_MS.failed, signal);
    }
  }

  /** Takes all steps that are due now. @returns the objects that could not be updated */
  private async pass(signal: AbortSignal): Promise<readonly string[]> {
    const { world, config, publish, onMaterial, log } = this.options;
    let problems: readonly string[] = [];
    for (;;) {
      const { material, step } = await advance(world, async (stored) => {
        const bundle = bundleOf(stored.material);
        const published = bundle === '' ? { complete: false, problems: [] } : await publish(bundle);
        ({ problems } = published);
        return { names: config.current().tls.dnsNames, published: published.complete };
      });
      onMaterial(material);
      if (step.kind === 'none' || signal.aborted) return problems;
      log('info', describe(step));
    }
  }
}

function describe(step: Step): string {
  switch (step.kind) {
    case 'begin':
      return `new CA and serving certificate: ${step.reason}`;
    case 'issue':
      return `new serving certificate: ${step.reason}`;
    case 'announce':
      return `new CA published (${step.reason}); the old one signs until every caller trusts it`;
    case 'hasten':
      return 'the current CA rotation is being accelerated';
    case 'confirm':
      return 'the new CA is published; it signs after the overlap';
    case 'sign':
      return `the new CA signs: ${step.reason}`;
    case 'forget':
      return 'retired CAs were removed from the bundle';
    case 'none':
      return '';
  }
}
