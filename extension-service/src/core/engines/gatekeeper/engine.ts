import { configHash } from '../../policies/config-hash.js';
import { InvalidPolicyOptionError } from '../../policies/problem.js';
import { gatekeeperFilters } from '../../policies/pushdown/gatekeeper-match.js';
import type { Engine } from '../engine.js';
import { gatekeeperHelmValues } from './chart-values.js';
import { checkGatekeeperMatches } from './limits.js';
import { assignNames, GATEKEEPER_DEFAULTS, providerName, renderGatekeeper } from './mutation.js';

/** Gatekeeper 3.23 or newer with an external data `Provider` and `Assign` mutators. */
export const gatekeeper: Engine = {
  name: 'gatekeeper',
  title: 'Gatekeeper',
  summary: 'Gatekeeper 3.23 or newer asks the service',
  namespaces: GATEKEEPER_DEFAULTS.namespaces,
  transport: {
    route: 'gatekeeper',
    credentials: ['certificate'],
    caller: 'engine',
    plainHttp: 'refused',
    timeoutSeconds: {
      default: GATEKEEPER_DEFAULTS.timeoutSeconds,
      max: 28,
      why: 'whose own webhook times out after 30, before the Assigns could apply their failure policy',
    },
    ca: { place: 'policy', configMap: false, required: true, injected: false, carrier: 'Provider' },
  },
  decides: {
    sees: 'images',
    startsCopies: false,
    denies: 'never',
    checkFilters: (filters) => {
      gatekeeperFilters(filters);
    },
    checkMatches: checkGatekeeperMatches,
  },
  kinds: [
    {
      apiVersion: 'externaldata.gatekeeper.sh/v1beta1',
      kind: 'Provider',
      plural: 'providers',
      names: (policyName) => [policyName],
      caHolder: {
        // Objects that were rendered without filters have the plain name.
        names: (policyName, filters) => [...new Set([policyName, providerName(policyName, filters)])],
        calls: (object) => {
          const { url = '', caBundle } = (object as { readonly spec?: ProviderSpec }).spec ?? {};
          return [{ path: '/spec/caBundle', address: url, caBundle }];
        },
      },
    },
    { apiVersion: 'mutations.gatekeeper.sh/v1', kind: 'Assign', plural: 'assign', names: assignNames },
  ],
  ownOptions: ['ephemeralContainers'],
  chart: {
    api: {
      name: 'externaldata.gatekeeper.sh/v1beta1/Provider',
      install:
        'Gatekeeper 3.23 or newer (helm repo add gatekeeper https://open-policy-agent.github.io/gatekeeper/charts && ' +
        'helm install gatekeeper gatekeeper/gatekeeper -n gatekeeper-system --create-namespace)',
    },
    webhookValues: false,
  },
  render: ({ call: { url, caBundle }, targets, managed, own = {}, ...options }) => {
    // Gatekeeper cannot check an answer.
    void targets;
    if (caBundle === undefined) {
      throw new InvalidPolicyOptionError('caBundle', 'is required: Gatekeeper trusts no other CA');
    }
    const { ephemeralContainers } = own;
    const fixedProvider = managed === true;
    return renderGatekeeper({
      ...{ ...options, url, caBundle, fixedProvider },
      ...(ephemeralContainers !== undefined && { ephemeralContainers }),
    });
  },
  configHash: ({ filters, pods }) => configHash(filters, [], 'keep', pods),
  helmValues: gatekeeperHelmValues,
};

interface ProviderSpec {
  readonly url?: string;
  readonly caBundle?: string;
}
