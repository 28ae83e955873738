import { z } from 'zod';
import type { CredentialsConfig } from '../../credentials/config-credentials.js';
import type { ClientCertificateConfig, OciConfig } from './config.js';
import { hostFault, REGISTRY_ALLOWED } from '../../core/naming/host-fault.js';
import { described } from '../../schema/field.js';
import { flag, matching, text, wholeNumber } from '../../schema/leaves.js';
import { prefix } from '../../schema/prefix.js';

const label = '[a-z0-9](?:[a-z0-9-]*[a-z0-9])?';
const subdomain = new RegExp(`^(?=.{1,253}$)${label}(?:\\.${label})*$`);

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

const clientCertificate = z.strictObject({
  certFile: text({ about: 'A PEM file with the certificate, then its chain.', allowed: 'a path is allowed' }),
  keyFile: text({ about: 'A PEM file with its private key, not encrypted.', allowed: 'a path is allowed' }),
}) satisfies z.ZodType<ClientCertificateConfig>;

/** Any registry that speaks the OCI distribution specification. */
export const ociSchema = z.strictObject({
  registry: text({ about: "The registry's host.", allowed: REGISTRY_ALLOWED }, hostFault),
  prefix: prefix(),
  insecure: flag('Use plain HTTP, or HTTPS without checking the certificate.').default(false),
  caFile: text({
    about: "A PEM file with CA certificates to trust in addition to the system's.",
    allowed: 'a path is allowed',
  }).exactOptional(),
  tokenHosts: described(
    z.array(text({ about: 'A host, or host:port.', allowed: REGISTRY_ALLOWED }, hostFault)).readonly(),
    'Token servers at other sites that get the login when the registry names them.',
  ).exactOptional(),
  clientCertificate: described(
    clientCertificate,
    'For a registry that requires a client certificate; read again when the files change.',
  ).exactOptional(),
  credentials: described(credentials, 'How to log in; one of the ways.').exactOptional(),
  uploadChunk: wholeNumber(
    1_024,
    2 ** 40,
    'Bytes that one request of an upload may have: larger layers go in chunks. For a proxy in front of the registry that limits bodies (413), and for targets that break off.',
    'each layer in one request',
  ).exactOptional(),
}) satisfies z.ZodType<OciConfig>;
