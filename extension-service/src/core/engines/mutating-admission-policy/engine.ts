import type { Engine } from '../engine.js';
import { ADMISSION_POLICY_NAMESPACES } from './admission-policy.js';
import { filterConditions, matchConditions } from './limits.js';
import { policyNames } from './names.js';
import { renderTables } from './render.js';
import { tableHash } from './table-hash.js';
import { undecidedWebhook } from './undecided-webhook.js';
import { webhook } from '../webhook/engine.js';

const alone: Engine = {
  name: 'mutatingadmissionpolicy',
  title: 'the API server',
  summary: 'the API server of Kubernetes 1.36 or newer swaps images itself, from a table that the service maintains',
  namespaces: ADMISSION_POLICY_NAMESPACES,
  table: 'literals',
  decides: {
    sees: 'pod',
    startsCopies: false,
    denies: 'never',
    alone: true,
    checkFilters: (filters) => {
      filterConditions(filters);
    },
    checkMatches: (matches) => {
      for (const match of matches) matchConditions(match);
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
  render: (input) => renderTables(input, 'refuse'),
  configHash: tableHash,
  helmValues: () => ({ notes: ['The API server has no chart and needs no values.'], values: {} }),
};

/** With `policies.undecidable: webhook`: Pods that CEL cannot decide go to the service, through a webhook. */
const withWebhook: Engine = {
  ...alone,
  ...(webhook.transport && { transport: webhook.transport }),
  decides: {
    ...alone.decides,
    startsSomeCopies: true,
    checkFilters: (filters) => {
      filterConditions(filters, 'webhook');
    },
    checkMatches: (matches) => {
      for (const match of matches) matchConditions(match, 'webhook');
    },
  },
  kinds: [...alone.kinds, ...webhook.kinds],
  render: (input) => [...renderTables(input, 'webhook'), ...undecidedWebhook(input)],
};

/**
 * The API server itself, with a `MutatingAdmissionPolicy`: Kubernetes 1.36 or newer. It calls nothing: the policy
 * contains a table of the images in the targets.
 */
export const mutatingAdmissionPolicy: Engine = { ...alone, withWebhook };
