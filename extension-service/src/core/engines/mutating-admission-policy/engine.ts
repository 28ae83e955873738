import { InvalidPolicyOptionError } from '../../policies/problem.js';
import type { Engine } from '../engine.js';
import { ADMISSION_POLICY_NAMESPACES, renderMutatingAdmission } from './admission-policy.js';
import { filterConditions, matchCondition } from './limits.js';
import { policyNames } from './names.js';
import { tableHash } from './table-hash.js';

/**
 * The API server itself, with a `MutatingAdmissionPolicy`: Kubernetes 1.36 or newer. It calls nothing: the policy
 * contains a table of the images in the targets.
 */
export const mutatingAdmissionPolicy: Engine = {
  name: 'mutatingadmissionpolicy',
  title: 'the API server',
  summary: 'the API server of Kubernetes 1.36 or newer swaps images itself, from a table that the service maintains',
  namespaces: ADMISSION_POLICY_NAMESPACES,
  decides: {
    sees: 'pod',
    startsCopies: false,
    denies: 'never',
    checkFilters: (filters) => {
      filterConditions(filters);
    },
    checkMatches: (matches) => {
      matches.forEach(matchCondition);
    },
  },
  kinds: [
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingAdmissionPolicy',
      plural: 'mutatingadmissionpolicies',
      names: policyNames,
    },
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingAdmissionPolicyBinding',
      plural: 'mutatingadmissionpolicybindings',
      names: policyNames,
    },
  ],
  ownOptions: [],
  chart: {
    api: {
      name: 'admissionregistration.k8s.io/v1/MutatingAdmissionPolicy',
      install: 'Kubernetes 1.36 or newer, or, with an older one, policies.engine=webhook',
    },
    managedOnly: 'its policies use a table of images that only the service can maintain',
    webhookValues: false,
  },
  render: ({ call, own, decided, managed = false, targets, directTarget, timeoutSeconds, name, ...options }) => {
    // Nothing is called, and each target needs more than its prefix.
    void [call, own, targets, timeoutSeconds, directTarget];
    if (decided === undefined) throw new InvalidPolicyOptionError('targets', 'must define how they name images');
    const { tables, ...rest } = decided;
    if (!managed) {
      const conditional = rest.targets.find(({ swapPolicy }) => swapPolicy !== 'always');
      if (conditional !== undefined) {
        throw new InvalidPolicyOptionError(
          'imageSwapPolicy',
          `exists (target ${conditional.naming.name}) needs the table of images that the service maintains: set policies.manage: ` +
            'true, or imageSwapPolicy: always',
        );
      }
      return renderMutatingAdmission({ ...options, ...rest, ...(name !== undefined && { name }) });
    }
    const [large, recent] = policyNames(name);
    return [
      ...renderMutatingAdmission({ ...options, ...rest, name: large, ...(tables && { table: tables.large }) }),
      ...renderMutatingAdmission({
        ...{ ...options, ...rest, name: recent },
        // The large policy already computes names.
        targets: rest.targets.map((target) => ({ ...target, swapPolicy: 'exists' as const })),
        ...(tables && { table: tables.recent }),
      }),
    ];
  },
  configHash: (filters, targets, _directTarget, pods, publicOnly = false) =>
    tableHash(filters, targets, pods, publicOnly),
  helmValues: () => ({ notes: ['The API server has no chart and needs no values.'], values: {} }),
};
