import { ENGINE_NAMES } from '../../extension-service/src/core/engines/names.js';
import { checkLabel } from '../../extension-service/src/core/policies/options.js';
import { InvalidPolicyOptionError } from '../../extension-service/src/core/policies/problem.js';
import { list, oneOf, text, boolean } from '../../extension-service/src/core/policies/shapes.js';
import type { EngineName } from './engine-name.js';

/**
 * The configuration's `policies`: the service's own command line, and the service with `manage`, render policies from
 * it. Here they are the defaults of the props with the same names.
 */
export interface SwapperPolicies {
  /** If true, the service writes policies itself, in addition to those rendered here: the synth warns. */
  readonly manage?: boolean;
  /** `none` is ignored. */
  readonly engine?: EngineName | 'none';
  /**
   * With `mutatingadmissionpolicy`: `webhook` adds a webhook for the Pods that the API server cannot decide, because of a
   * filter or `match`. With `refuse`, such an expression stops the synth.
   * @default 'refuse'
   */
  readonly undecidable?: 'refuse' | 'webhook';
  /**
   * With `kyverno` and `manage`: Kyverno reads the images in the targets from objects that the service's leader writes. The
   * construct renders their CustomResourceDefinition, the ClusterRole with which Kyverno reads them, the
   * GlobalContextEntry, and the policy that uses it.
   * @default false
   */
  readonly table?: boolean;
  readonly name?: string;
  readonly url?: string;
  readonly failClosed?: boolean;
  /** Excluded in addition to the namespaces of the prop. */
  readonly excludedNamespaces?: readonly string[];
}

/** The props that have defaults in the configuration. */
export interface PolicyChoices {
  readonly engine?: EngineName;
  readonly name?: string;
  readonly url?: string;
  readonly failClosed?: boolean;
  readonly excludedNamespaces?: readonly string[];
}

export interface ResolvedChoices extends PolicyChoices {
  readonly engine: EngineName;
  readonly undecidable: 'refuse' | 'webhook';
  readonly table: boolean;
  /** Origins of values that are not props, for messages, by the prop's name. */
  readonly origins: Readonly<Record<string, string>>;
}

const CONFIG_KEY = 'config.policies';

/**
 * Merges the props and the configuration. Values in both must be equal: otherwise someone who reads only one of them
 * would misjudge the cluster. Lists of namespaces are merged, as in the service.
 *
 * @throws InvalidPolicyOptionError
 */
export function resolveChoices(props: PolicyChoices, policies: SwapperPolicies = {}): ResolvedChoices {
  const options = {
    engine: oneOf(props.engine, 'engine', ENGINE_NAMES),
    name: props.name === undefined ? undefined : text(props.name, 'name'),
    url: props.url === undefined ? undefined : text(props.url, 'url'),
    failClosed: boolean(props.failClosed, 'failClosed'),
  };
  const engine = oneOf(policies.engine, `${CONFIG_KEY}.engine`, [...ENGINE_NAMES, 'none']);
  const configured = {
    engine: engine === 'none' ? undefined : engine,
    name: policies.name == null ? undefined : text(policies.name, `${CONFIG_KEY}.name`),
    url: policies.url == null ? undefined : text(policies.url, `${CONFIG_KEY}.url`),
    failClosed: boolean(policies.failClosed, `${CONFIG_KEY}.failClosed`),
  };
  // Only the configuration has it.
  const origins: Record<string, string> = { table: `${CONFIG_KEY}.table` };
  const choose = <Key extends keyof typeof configured>(key: Key): Pick<PolicyChoices, Key> => {
    const [own, other] = [options[key], configured[key]];
    if (own !== undefined && other !== undefined && own !== other) {
      throw new InvalidPolicyOptionError(
        key,
        `${JSON.stringify(own)} contradicts ${CONFIG_KEY}.${key}, which is ${JSON.stringify(other)}: leave one of them out`,
      );
    }
    if (own === undefined && other !== undefined) origins[key] = `${CONFIG_KEY}.${key}`;
    const value = own ?? other;
    return (value === undefined ? {} : { [key]: value }) as Pick<PolicyChoices, Key>;
  };
  const excludedNamespaces = [
    ...list(props.excludedNamespaces, 'excludedNamespaces'),
    ...namespacesOf(policies.excludedNamespaces),
  ];
  return {
    engine: 'kyverno',
    undecidable: oneOf(policies.undecidable, `${CONFIG_KEY}.undecidable`, ['refuse', 'webhook']) ?? 'refuse',
    table: boolean(policies.table, `${CONFIG_KEY}.table`) ?? false,
    ...choose('engine'),
    ...choose('name'),
    ...choose('url'),
    ...choose('failClosed'),
    excludedNamespaces,
    origins,
  };
}

function namespacesOf(value: readonly string[] | null | undefined): readonly string[] {
  const option = `${CONFIG_KEY}.excludedNamespaces`;
  return list(value, option).map((item: unknown, index) => {
    const namespace = text(item, `${option}[${index}]`);
    checkLabel(namespace, `${option}[${index}]`);
    return namespace;
  });
}
