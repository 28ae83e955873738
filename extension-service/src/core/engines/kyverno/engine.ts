import { servedHash } from '../../policies/config-hash.js';
import type { Engine } from '../engine.js';
import { mutatingPolicyHelmValues } from './chart-values.js';
import { IMAGE_TABLES, pageNames } from '../kyverno-table/names.js';
import { readerHash, renderWithTable } from '../kyverno-table/render.js';
import { INSTALL_KYVERNO, KYVERNO_DEFAULTS } from './defaults.js';
import { renderKyvernoMutatingPolicy } from './mutating-policy.js';

const plain: Engine = {
  name: 'kyverno',
  title: 'Kyverno',
  summary: 'Kyverno 1.19 or newer asks the service (1.18 needs a custom httpBlocklist)',
  namespaces: KYVERNO_DEFAULTS.namespaces,
  transport: {
    route: 'kyverno',
    credentials: ['secret'],
    caller: 'engine',
    // CEL's http client only trusts the CA certificates in Kyverno's trust store.
    plainHttp: 'default',
    timeoutSeconds: { default: KYVERNO_DEFAULTS.timeoutSeconds, max: 30 },
    ca: {
      place: 'trust-store',
      configMap: false,
      required: false,
      injected: false,
      carrier: "Kyverno's trust store",
      refusal:
        "a MutatingPolicy, which uses only Kyverno's trust store: use --engine-values for the values of Kyverno's chart " +
        'that add your CA (they replace the whole store, so they include the public CAs), or use --engine ' +
        'kyverno-clusterpolicy, which embeds it',
    },
  },
  decides: { sees: 'pod', startsCopies: true, denies: 'fail-closed', addsToPods: true },
  kinds: [
    {
      apiVersion: 'policies.kyverno.io/v1',
      kind: 'MutatingPolicy',
      plural: 'mutatingpolicies',
      names: (policyName) => [policyName],
    },
  ],
  ownOptions: [],
  chart: {
    api: {
      name: 'policies.kyverno.io/v1/MutatingPolicy',
      install: `Kyverno 1.19 or newer ${INSTALL_KYVERNO}, or, with an older one, --set policies.engine=kyverno-clusterpolicy`,
    },
    requires: 'image-swapper.requireKyverno',
    webhookValues: false,
  },
  render: ({ call: { url, credentials: proof }, own, ...options }) => {
    void own;
    const callerSecret = proof?.secret;
    return [renderKyvernoMutatingPolicy({ ...options, url, ...(callerSecret !== undefined && { callerSecret }) })];
  },
  configHash: servedHash,
  helmValues: mutatingPolicyHelmValues,
};

const { group, version, kind, plural } = IMAGE_TABLES;

/** With `policies.table`: the policy reads the images in the targets from objects that the service maintains. */
const withTable: Engine = {
  ...plain,
  table: 'objects',
  kinds: [
    {
      apiVersion: `${group}/${version}`,
      kind,
      plural,
      names: pageNames,
      consecutive: true,
      requires: kind,
      install:
        'apply the CustomResourceDefinition that image-swapper policies prints, or install the chart with policies.table=true',
    },
    {
      apiVersion: 'kyverno.io/v2',
      kind: 'GlobalContextEntry',
      plural: 'globalcontextentries',
      names: (policyName) => [policyName],
      requires: kind,
      install: 'policies.table needs Kyverno 1.18 or newer; until then, Kyverno asks the service about every Pod',
    },
    ...plain.kinds,
  ],
  render: renderWithTable,
  configHash: readerHash,
};

/** Kyverno 1.19 or newer (1.18 with another `httpBlocklist`) with a `MutatingPolicy`. */
export const kyverno: Engine = { ...plain, withTable };
