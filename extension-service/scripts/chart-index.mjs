/** The index of a chart repository (index.yaml), as `helm repo index` writes it, but with the same bytes for the same commit. */
import { parse, stringify } from 'yaml';

/**
 * @param release `chart`: text of Chart.yaml. `digest`: SHA-256 of the archive in hex. `file`: its name, relative to the
 *   index. `seconds`: since 1970. `published`: text of the index that is there now, whose other versions are kept
 * @throws Error when this version is published with other bytes
 */
export function chartIndex({ chart, digest, file, seconds, published }) {
  const metadata = parse(chart);
  const created = new Date(Number(seconds) * 1000).toISOString();
  const before = published === undefined ? { entries: {} } : parse(published);
  if (typeof before?.entries !== 'object' || before.entries === null) {
    throw new Error('the published index has no entries: is it the index.yaml of a chart repository?');
  }
  const { name, version } = metadata;
  const others = before.entries[name] ?? [];
  const same = others.find((entry) => entry.version === version);
  if (same !== undefined && same.digest !== digest) {
    throw new Error(`${name} ${version} is published with digest ${same.digest}, and this one has ${digest}`);
  }
  const entry = { ...metadata, created, digest, urls: [file] };
  // Published versions stay unchanged, newest first, as Helm lists them.
  const entries = { ...before.entries, [name]: same === undefined ? [entry, ...others] : others };
  return stringify({ apiVersion: 'v1', entries, generated: created }, { lineWidth: 0, singleQuote: true });
}
