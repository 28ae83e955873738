import * as z from 'zod';
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
      allowed: 'expected the name of a Secret',
    },
    matching(subdomain, 'name of a Secret', 'expected lower-case letters, digits, - and .'),
  ).exactOptional(),
  namespace: text(
    {
      about: 'Namespace of the Secret.',
      allowed: 'expected the name of a namespace',
      defaultText: "the service's own",
    },
    matching(new RegExp(`^(?=.{1,63}$)${label}$`), 'namespace', 'expected lower-case letters, digits and -'),
  ).exactOptional(),
  username: text({ about: 'User name, used with a password.', allowed: 'expected a string' }).exactOptional(),
  password: text({
    about: 'Password or token; a Secret or a file is better.',
    allowed: 'expected a string',
    secret: 'all',
  }).exactOptional(),
  passwordFile: text({ about: 'A file with the password.', allowed: 'expected a path' }).exactOptional(),
  dockerConfigFile: text({ about: 'A Docker `config.json`.', allowed: 'expected a path' }).exactOptional(),
}) satisfies z.ZodType<CredentialsConfig>;

const clientCertificate = z.strictObject({
  certFile: text({ about: 'A PEM file with the certificate, followed by its chain.', allowed: 'expected a path' }),
  keyFile: text({ about: 'A PEM file with the unencrypted private key.', allowed: 'expected a path' }),
}) satisfies z.ZodType<ClientCertificateConfig>;

/** Any registry that speaks the OCI distribution specification. */
export const ociSchema = z.strictObject({
  registry: text({ about: "The registry's host.", allowed: REGISTRY_ALLOWED }, hostFault),
  prefix: prefix(),
  insecure: flag('Use plain HTTP, or HTTPS without checking the certificate.').default(false),
  caFile: text({
    about: "A PEM file with CA certificates to trust in addition to the system's.",
    allowed: 'expected a path',
  }).exactOptional(),
  tokenHosts: described(
    z.array(text({ about: 'A host, or host:port.', allowed: REGISTRY_ALLOWED }, hostFault)).readonly(),
    'Token servers at other sites that may receive the login when the registry refers to them.',
  ).exactOptional(),
  clientCertificate: described(
    clientCertificate,
    'Client certificate, for a registry that requires one; reloaded when the files change.',
  ).exactOptional(),
  credentials: described(credentials, 'How to log in; set one method.').exactOptional(),
  uploadChunk: wholeNumber(
    1_024,
    2 ** 40,
    'Maximum bytes per upload request; larger layers are uploaded in chunks. Set it for a proxy that limits request bodies (413), or a target that interrupts uploads.',
    'each layer in one request',
  ).exactOptional(),
}) satisfies z.ZodType<OciConfig>;
