import { z } from 'zod';
import type { CredentialsConfig, OciConfig } from '../../core/config/model.js';
import { normalizeRegistry } from '../../core/image/reference.js';
import { quoteInput } from '../../core/image/quote.js';
import { described } from '../field.js';
import type { Fault } from '../leaves.js';
import { flag, matching, text } from '../leaves.js';
import { prefix } from './prefix.js';

const registryAllowed = 'host or host:port is allowed, such as harbor.example.com:5000';
const label = '[a-z0-9](?:[a-z0-9-]*[a-z0-9])?';
const subdomain = new RegExp(`^(?=.{1,253}$)${label}(?:\\.${label})*$`);

/** What is wrong with `host[:port]`. */
export function hostFault(value: string): Fault | undefined {
  const message = quoteInput(value);
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(value);
  if (scheme !== null) {
    const hint = scheme[0].toLowerCase() === 'http://' ? '; for plain HTTP set insecure: true' : '';
    return { message: `${message} has a scheme`, allowed: `${registryAllowed}${hint}` };
  }
  if (value.includes('/')) {
    return { message: `${message} has a path`, allowed: `${registryAllowed}; the path goes into prefix` };
  }
  const port = /:([0-9]*)$/.exec(value)?.[1];
  if (port !== undefined && !/^\[[^\]]*$/.test(value) && !(Number(port) >= 1 && Number(port) <= 65_535)) {
    return { message: `${message} has no possible port`, allowed: 'ports are 1 to 65535' };
  }
  if (normalizeRegistry(value) !== undefined) return undefined;
  // Without dot and port, a name reads as a path of Docker Hub in an image reference.
  return normalizeRegistry(`${value}:443`) === undefined
    ? { message: `${message} is no host`, allowed: registryAllowed }
    : { message: `${message} has neither a dot nor a port`, allowed: `write ${value}:443` };
}

const credentials = z.strictObject({
  secretName: text(
    {
      about: 'A Secret of type kubernetes.io/dockerconfigjson.',
      allowed: 'the name of a Secret is allowed',
    },
    matching(subdomain, 'name of a Secret', 'lower-case letters, digits, - and . are allowed'),
  ).exactOptional(),
  namespace: text(
    {
      about: 'Namespace of the Secret.',
      allowed: 'the name of a namespace is allowed',
      defaultText: "the service's own",
    },
    matching(new RegExp(`^(?=.{1,63}$)${label}$`), 'namespace', 'lower-case letters, digits and - are allowed'),
  ).exactOptional(),
  username: text({ about: 'User name, with a password.', allowed: 'a text is allowed' }).exactOptional(),
  password: text({
    about: 'Password or token; better in a Secret or a file.',
    allowed: 'a text is allowed',
    secret: 'all',
  }).exactOptional(),
  passwordFile: text({ about: 'A file with the password.', allowed: 'a path is allowed' }).exactOptional(),
  dockerConfigFile: text({ about: 'A Docker `config.json`.', allowed: 'a path is allowed' }).exactOptional(),
}) satisfies z.ZodType<CredentialsConfig>;

/** Any registry that speaks the OCI distribution specification. */
export const ociSchema = z.strictObject({
  registry: text({ about: "The registry's host.", allowed: registryAllowed }, hostFault),
  prefix: prefix(),
  insecure: flag('Use plain HTTP, or HTTPS without checking the certificate.').default(false),
  caFile: text({
    about: "A PEM file with certificate authorities to trust besides the system's.",
    allowed: 'a path is allowed',
  }).exactOptional(),
  credentials: described(credentials, 'How to log in; one of the ways.').exactOptional(),
}) satisfies z.ZodType<OciConfig>;
