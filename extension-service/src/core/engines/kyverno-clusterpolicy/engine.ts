import { servedHash } from '../../policies/config-hash.js';
import type { Engine } from '../engine.js';
import { INSTALL_KYVERNO, KYVERNO_DEFAULTS } from '../kyverno/defaults.js';
import { renderKyvernoClusterPolicy } from './cluster-policy.js';
import { clusterPolicyRetirement } from './retirement.js';

/** Kyverno before 1.20 with a `ClusterPolicy`. */
export const kyvernoClusterPolicy: Engine = {
  name: 'kyverno-clusterpolicy',
  title: 'Kyverno',
  summary: 'Kyverno before 1.20 asks the service',
  namespaces: KYVERNO_DEFAULTS.namespaces,
  transport: {
    route: 'kyverno',
    credentials: ['token'],
    caller: 'engine',
    plainHttp: 'possible',
    timeoutSeconds: { default: KYVERNO_DEFAULTS.timeoutSeconds, max: 30 },
    ca: {
      place: 'policy',
      configMap: true,
      required: false,
      injected: false,
      carrier: 'ClusterPolicy',
      untrusted:
        "Unless Kyverno's trust store has your CA, every call fails and no image is swapped. Set caConfigMap " +
        '(image-swapper/image-swapper-ca if the service creates its own certificate, in a default install), or caBundle.',
    },
  },
  decides: { sees: 'pod', startsCopies: true, denies: 'fail-closed', addsToPods: true },
  kinds: [
    {
      apiVersion: 'kyverno.io/v1',
      kind: 'ClusterPolicy',
      plural: 'clusterpolicies',
      names: (policyName) => [policyName],
    },
  ],
  ownOptions: [],
  retirement: clusterPolicyRetirement,
  chart: {
    api: { name: 'kyverno.io/v1/ClusterPolicy', install: `Kyverno ${INSTALL_KYVERNO}` },
    requires: 'image-swapper.requireClusterPolicy',
    webhookValues: false,
  },
  render: ({ call, own, ...options }) => {
    void own;
    return [renderKyvernoClusterPolicy({ ...options, ...call })];
  },
  configHash: servedHash,
  helmValues: () => ({
    notes: ['The policy embeds the CA certificate, or reads it from a ConfigMap; Kyverno needs no extra values.'],
    values: {},
  }),
};
