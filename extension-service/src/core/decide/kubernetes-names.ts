const MAX_NAME = 253;
const MAX_LABEL = 63;
const LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;

/**
 * Whether the text is a valid name of a Secret or a ServiceAccount: a DNS subdomain (RFC 1123) of at most 253
 * characters. Admission webhooks see Pods before the API server checks such names, and forged requests can contain any
 * text.
 */
export function isObjectName(text: string): boolean {
  return text.length <= MAX_NAME && text.split('.').every((label) => LABEL.test(label));
}

/** Whether the text is a valid name of a Namespace: a DNS label of at most 63 characters. */
export function isNamespaceName(text: string): boolean {
  return text.length <= MAX_LABEL && LABEL.test(text);
}
