import { isIP } from 'node:net';
import * as z from 'zod';
import type { SourceConfig } from '../../core/config/model.js';
import { DEFAULT_OPERATORS } from '../../core/decide/operators.js';
import { quoteInput } from '../../core/image/quote.js';
import { described } from '../../schema/field.js';
import type { Fault } from '../../schema/leaves.js';
import { choice, flag, matching, text } from '../../schema/leaves.js';
import { registrySchema } from './registry.js';

const hostAllowed = 'expected host, host:port, *.suffix, an address or a network such as 10.0.0.0/8';

/** Matches the patterns that the connection guard supports. */
export function hostPatternFault(value: string): Fault | undefined {
  const text = value.trim().toLowerCase();
  const [address = '', bits, ...more] = text.split('/');
  const family = isIP(address.replace(/^\[(.*)\]$/, '$1'));
  if (bits !== undefined) {
    const most = family === 6 ? 128 : 32;
    if (isIP(address) !== 0 && more.length === 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= most) return undefined;
    const message = text.includes('://') ? 'has a scheme' : 'is not a valid network';
    return { message: `${quoteInput(value)} ${message}`, allowed: hostAllowed };
  }
  if (family !== 0 && isIP(address) !== 0) return undefined;
  const match = /^(?:\*\.)?(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[([0-9a-f:.]+)\])(?::(\d{1,5}))?$/.exec(text);
  const [, bracketed, port] = match ?? [];
  const wrongPort = port !== undefined && !(Number(port) >= 1 && Number(port) <= 65_535);
  const wrongAddress = bracketed !== undefined && isIP(bracketed) !== 6;
  // An invalid IPv4 address would be resolved as a host name.
  const almostAddress = /^[0-9.]+(?::\d+)?$/.test(text) && isIP(text.split(':', 1)[0] ?? '') === 0;
  if (match !== null && !wrongPort && !wrongAddress && !almostAddress) return undefined;
  return { message: `${quoteInput(value)} is not a valid host or network`, allowed: hostAllowed };
}

const hosts = (about: string, entry: string) =>
  described(z.array(text({ about: entry, allowed: hostAllowed }, hostPatternFault)).readonly(), about).default([]);

const filter = z.strictObject({
  jmespath: text({
    about: 'A JMESPath expression over `{obj, container}`: the Pod, and the container.',
    allowed: 'expected a JMESPath expression',
  }),
});

const operatorName = (about: string, allowed: string, pattern: RegExp) =>
  text({ about, allowed }, matching(pattern, allowed, `expected ${allowed}`));

const operator = z.strictObject({
  apiGroup: operatorName(
    'API group of the custom resource that owns the Pods.',
    'API group such as postgresql.cnpg.io',
    /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/,
  ),
  kind: operatorName('Kind of that resource.', 'kind such as Cluster', /^[A-Za-z][A-Za-z0-9]{0,62}$/),
  label: operatorName(
    "A label of the operator's Pods, for Pods that the resource owns through a StatefulSet or similar.",
    'label as KEY or KEY=VALUE',
    /^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?(?:=[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/,
  ).exactOptional(),
});

/** The sources of images. */
export const sourceSchema = z.strictObject({
  filters: described(z.array(filter).readonly(), 'If any filter gives `true`, the container keeps its image.').default(
    [],
  ),
  registries: described(
    z.array(registrySchema).readonly(),
    'Source registries that the service pulls from with its own credentials, in addition to those of Pods.',
  ).default([]),
  allow: hosts('Hosts that the service may contact on behalf of Pods although it refuses them by default.', 'A host.'),
  deny: hosts('Hosts that the service must not contact on behalf of Pods; takes precedence over `allow`.', 'A host.'),
  accessCheck: choice(
    ['none', 'pullSecrets'],
    '`pullSecrets`: a Pod gets the mirror of a private image only if its own pull secrets can read the source. Not with Gatekeeper.',
  ).default('none'),
  directTarget: choice(
    ['keep', 'refuse'],
    '`refuse`: refuse Pods that name a mirrored image directly; with `accessCheck`, only those that cannot read its source. Needs an engine that can refuse Pods.',
  ).default('keep'),
  volumes: flag('Swap and mirror image volumes (`spec.volumes[].image.reference`) as well as containers.').default(
    true,
  ),
  operators: described(
    z.array(operator).readonly(),
    'Operators that compare the images of their Pods with what they requested. Their Pods are not changed. `[]`: no exceptions.',
  ).default(DEFAULT_OPERATORS),
}) satisfies z.ZodType<SourceConfig>;
