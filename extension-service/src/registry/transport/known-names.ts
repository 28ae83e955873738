import type { AddressClass } from './addresses.js';
import { withoutBrackets } from '../../util/without-brackets.js';

const LOCALHOST = /^(?:(?:.+\.)?localhost|localhost[46]?\.localdomain[46]?|localhost[46]|ip6-(?:localhost|loopback))$/;
const METADATA = new Set([
  'metadata',
  'metadata.goog',
  'metadata.google.internal',
  'metadata.azure.internal',
  'metadata.tencentyun.com',
  'instance-data',
  'rancher-metadata',
]);
const EC2_METADATA = /^instance-data\.(?:[a-z0-9-]+\.)*(?:ec2|compute)\.internal$/;

/**
 * The class of a name that always resolves to this machine or to a cloud's metadata service; undefined for any other.
 * For names that a proxy resolves.
 */
export function classifyName(host: string): Extract<AddressClass, 'loopback' | 'special'> | undefined {
  const name = canonicalName(host);
  if (LOCALHOST.test(name)) return 'loopback';
  return METADATA.has(name) || EC2_METADATA.test(name) ? 'special' : undefined;
}

/** Lower case, without brackets and trailing dots, which DNS ignores. */
export function canonicalName(host: string): string {
  return withoutBrackets(host.toLowerCase()).replace(/\.+$/, '');
}
