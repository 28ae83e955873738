import { createHash } from 'node:crypto';

/**
 * A CycloneDX document as text, without what differs from one run to the next: its serial number comes from its content,
 * and its time from SOURCE_DATE_EPOCH (seconds), when that is set.
 */
export function reproducible(document) {
  const epoch = process.env.SOURCE_DATE_EPOCH;
  const { lifecycles, component } = document.metadata;
  const { $schema, bomFormat, specVersion, version, components, dependencies } = document;
  const metadata = { ...(epoch && { timestamp: new Date(Number(epoch) * 1000).toISOString() }), lifecycles, component };
  const dated = { $schema, bomFormat, specVersion, version, metadata, components, dependencies };
  const hash = createHash('sha256').update(JSON.stringify(dated)).digest('hex');
  // A version 8 UUID (RFC 9562): the other bits are ours.
  const parts = [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `a${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ];
  return `${JSON.stringify({ ...dated, serialNumber: `urn:uuid:${parts.join('-')}` }, null, 2)}\n`;
}
