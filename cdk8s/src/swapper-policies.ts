import { checkLabel } from '../../extension-service/src/core/policies/options.js';
import { InvalidPolicyOptionError } from '../../extension-service/src/core/policies/problem.js';
import { text } from './swapper-config.js';

/**
 * The configuration's `policies`: what the service's own command line, and the service under `manage`, render policies by.
 * Here they are the defaults of the props of the same names.
 */
export interface SwapperPolicies {
  /** With true the service writes policies itself, besides what is rendered here: the synth warns. */
  readonly manage?: boolean;
  /** `none` says nothing. */
  readonly engine?: 'kyverno' | 'kyverno-clusterpolicy' | 'gatekeeper' | 'webhook' | 'none';
  readonly name?: string;
  readonly url?: string;
  readonly failClosed?: boolean;
  /** Left alone besides those of the prop. */
  readonly excludedNamespaces?: readonly string[];
}

type Engine = Exclude<SwapperPolicies['engine'], 'none' | undefined>;

/** The props that have defaults in the configuration. */
export interface PolicyChoices {
  readonly engine?: Engine;
  readonly name?: string;
  readonly url?: string;
  readonly failClosed?: boolean;
  readonly excludedNamespaces?: readonly string[];
}

export interface ResolvedChoices extends PolicyChoices {
  readonly engine: Engine;
  /** Where those come from that are not props, for messages: by the prop's name. */
  readonly origins: Readonly<Record<string, string>>;
}

const AT = 'config.policies';
const ENGINES: readonly unknown[] = ['kyverno', 'kyverno-clusterpolicy', 'gatekeeper', 'webhook'];

/**
 * The props over the configuration. What both say must be the same: whoever reads one of them would be wrong about the
 * cluster otherwise. Lists of namespaces add up, as they do for the service.
 *
 * @throws InvalidPolicyOptionError
 */
export function resolveChoices(props: PolicyChoices, policies: SwapperPolicies = {}): ResolvedChoices {
  const configured = {
    engine: policies.engine === 'none' ? undefined : engineOf(policies.engine),
    name: policies.name == null ? undefined : text(policies.name, `${AT}.name`),
    url: policies.url == null ? undefined : text(policies.url, `${AT}.url`),
    failClosed: truth(policies.failClosed, `${AT}.failClosed`),
  };
  const origins: Record<string, string> = {};
  const choose = <Key extends keyof typeof configured>(key: Key): Pick<PolicyChoices, Key> => {
    const [own, other] = [props[key], configured[key]];
    if (own !== undefined && other !== undefined && own !== other) {
      throw new InvalidPolicyOptionError(
        key,
        `${JSON.stringify(own)} contradicts ${AT}.${key}, which is ${JSON.stringify(other)}: leave one of them out`,
      );
    }
    if (own === undefined && other !== undefined) origins[key] = `${AT}.${key}`;
    const value = own ?? other;
    return (value === undefined ? {} : { [key]: value }) as Pick<PolicyChoices, Key>;
  };
  const { engine = 'kyverno' } = choose('engine');
  const excludedNamespaces = [...(props.excludedNamespaces ?? []), ...namespacesOf(policies.excludedNamespaces)];
  return { engine, ...choose('name'), ...choose('url'), ...choose('failClosed'), excludedNamespaces, origins };
}

function engineOf(value: unknown): Engine | undefined {
  if (value == null) return undefined;
  if (ENGINES.includes(value)) return value as Engine;
  const shown = JSON.stringify(value);
  throw new InvalidPolicyOptionError(`${AT}.engine`, `${shown} is no engine: allowed are ${ENGINES.join(', ')}, none`);
}

/** From YAML anything can come. */
function truth(value: unknown, option: string): boolean | undefined {
  if (value == null) return undefined;
  if (typeof value === 'boolean') return value;
  throw new InvalidPolicyOptionError(option, `${JSON.stringify(value)} must be true or false`);
}

function namespacesOf(value: unknown): readonly string[] {
  const option = `${AT}.excludedNamespaces`;
  if (value == null) return [];
  if (!Array.isArray(value)) throw new InvalidPolicyOptionError(option, 'must be a list of namespaces');
  return value.map((item: unknown, index) => {
    const namespace = text(item, `${option}[${index}]`);
    checkLabel(namespace, `${option}[${index}]`);
    return namespace;
  });
}
