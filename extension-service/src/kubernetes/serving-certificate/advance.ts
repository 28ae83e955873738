import { applyStep } from './apply-step.js';
import type { Issuer } from './apply-step.js';
import { StaleSecretError } from './certificate-secret.js';
import type { CertificateSecret, StoredCertificate } from './certificate-secret.js';
import type { CertificateMaterial } from './material.js';
import { nextStep } from './next-step.js';
import type { StepInput, Step } from './next-step.js';

/** Dependencies for creating and sharing certificates. */
export interface CertificateEnvironment {
  readonly secret: Pick<CertificateSecret, 'read' | 'write'>;
  readonly issuer: Issuer;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface AdvanceResult {
  readonly material: CertificateMaterial;
  readonly step: Step;
}

/** Two replicas rarely write at the same time more than a few times. */
const MAX_TRIES = 10;

/**
 * Reads the Secret, and takes its next step if `takes` accepts it.
 *
 * @throws Error with the problem and its remedy
 */
export async function advance(
  { secret, issuer, now }: CertificateEnvironment,
  stepInput: (stored: StoredCertificate) => Omit<StepInput, 'asked'> | Promise<Omit<StepInput, 'asked'>>,
  takes: (step: Step, material: CertificateMaterial) => boolean = () => true,
): Promise<AdvanceResult> {
  for (let tries = 1; ; tries += 1) {
    const stored = await secret.read();
    const { asked } = stored;
    const known = { ...(await stepInput(stored)), ...(asked !== undefined && { asked }) };
    const time = now();
    const step = nextStep(stored.material, time, known);
    if (step.kind === 'none' || !takes(step, stored.material)) {
      return { material: stored.material, step: { kind: 'none' } };
    }
    const material = await applyStep(step, stored.material, { issuer, names: known.names, now: time });
    try {
      await secret.write(stored, material, answers(step, asked));
      return { material, step };
    } catch (error) {
      if (!(error instanceof StaleSecretError) || tries === MAX_TRIES) throw error;
    }
  }
}

function answers(step: Step, asked: 'leaf' | 'ca' | undefined): boolean {
  if (asked === 'leaf') return step.kind === 'issue';
  return asked === 'ca' && (step.kind === 'announce' || step.kind === 'hasten');
}
