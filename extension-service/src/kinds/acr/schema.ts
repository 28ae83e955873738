import * as z from 'zod';
import { quoteInput } from '../../core/image/quote.js';
import { hostFault } from '../../core/naming/host-fault.js';
import { text } from '../../schema/leaves.js';
import type { Check } from '../../schema/leaves.js';
import { prefix } from '../../schema/prefix.js';
import type { AcrConfig } from './config.js';

const registryAllowed = 'expected the login server such as myregistry.azurecr.io';
const registryCheck: Check = (value) => {
  // The portal and `az acr create` use only the first part of the registry's name.
  if (/^[A-Za-z0-9]{5,50}$/.test(value)) {
    return {
      message: `${quoteInput(value)} is only the name of the registry`,
      allowed: `write ${value.toLowerCase()}.azurecr.io`,
    };
  }
  return hostFault(value);
};

const guidAllowed = 'expected a GUID such as 01234567-89ab-cdef-0123-456789abcdef';
const guid: Check = (value) =>
  /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value)
    ? undefined
    : { message: `${quoteInput(value)} is not a GUID`, allowed: guidAllowed };

/** A registry of Azure Container Registry. */
export const acrSchema = z.strictObject({
  registry: text({ about: "The registry's login server.", allowed: registryAllowed }, registryCheck),
  prefix: prefix(),
  tenantId: text(
    {
      about: 'The Microsoft Entra tenant of the identity that logs in.',
      allowed: guidAllowed,
      defaultText: '`AZURE_TENANT_ID`',
    },
    guid,
  ).exactOptional(),
  clientId: text(
    {
      about: 'The client ID of the managed identity or application that logs in.',
      allowed: guidAllowed,
      defaultText: '`AZURE_CLIENT_ID`',
    },
    guid,
  ).exactOptional(),
}) satisfies z.ZodType<AcrConfig>;
