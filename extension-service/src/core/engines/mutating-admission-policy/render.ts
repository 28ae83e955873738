import type { PolicyObject } from '../../policies/objects.js';
import { InvalidPolicyOptionError } from '../../policies/problem.js';
import type { EngineInput } from '../engine.js';
import { renderMutatingAdmission } from './admission-policy.js';
import type { Undecidable } from './limits.js';
import { policyNames } from './names.js';
import { tableHash } from './table-hash.js';

/**
 * The policies with the table: two with `policies.manage`, else one that computes names.
 *
 * @throws InvalidPolicyOptionError
 */
export function renderTables(input: EngineInput, undecidable: Undecidable): readonly PolicyObject[] {
  const { call, own, decided, managed = false, targets, directTarget, timeoutSeconds, name, ...others } = input;
  // Nothing is called, and each target needs more than its prefix.
  void [call, own, timeoutSeconds, directTarget];
  if (decided === undefined) throw new InvalidPolicyOptionError('targets', 'must define how they name images');
  const { tables, ...rest } = decided;
  const { filters, pods } = others;
  // Both policies have the hash of one configuration.
  const hash = filters && tableHash({ filters, targets, pods, decided: rest });
  const options = { ...others, ...rest, undecidable, ...(hash !== undefined && { hash }) };
  if (!managed) {
    const unkept = rest.targets.find(({ swapPolicy }) => swapPolicy !== 'always');
    if (unkept !== undefined) {
      throw new InvalidPolicyOptionError(
        'imageSwapPolicy',
        `exists (target ${unkept.naming.name}) needs the table of images that the service maintains: set policies.manage: ` +
          'true, or imageSwapPolicy: always',
      );
    }
    return renderMutatingAdmission({ ...options, ...(name !== undefined && { name }) });
  }
  const [large, recent] = policyNames(name);
  return [
    ...renderMutatingAdmission({ ...options, name: large, ...(tables && { table: tables.large }) }),
    ...renderMutatingAdmission({
      ...{ ...options, name: recent },
      // The large policy already computes names.
      targets: rest.targets.map((target) => ({ ...target, swapPolicy: 'exists' as const })),
      ...(tables && { table: tables.recent }),
    }),
  ];
}
