/** The part of Azure's SDK that an acr registry needs: loaded only if one is configured, see programs/programs.ts. */
export { WorkloadIdentityCredential } from '@azure/identity';
