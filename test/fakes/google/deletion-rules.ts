import type { ManifestJson } from '../registry-store.js';
import type { FakeRegistry } from '../registry.js';
import type { HookResult } from '../tls-proxy.js';

/**
 * Returns how Artifact Registry refuses to delete a manifest or tag: a manifest that a tag, an index or a referrer
 * names, or an immutable tag. Returns undefined when the deletion is allowed.
 *
 * @param path of the request
 */
export function deletionRefusal(registry: FakeRegistry, path: string, immutableTags: boolean): HookResult {
  const [, repository = '', reference = ''] = /^\/v2\/(.+)\/manifests\/([^/]+)$/.exec(path) ?? [];
  if (!reference.includes(':'))
    return immutableTags ? refusal('DENIED', `Tag ${reference} is immutable and cannot be deleted`) : undefined;
  const tag = registry.tags(repository).find((one) => registry.manifest(repository, one)?.digest === reference);
  if (tag !== undefined) return refusal('GOOGLE_MANIFEST_DANGLING_TAG', `Manifest is still referenced by tag: ${tag}`);
  const parent = registry.digests(repository).find((digest) => {
    const { bytes } = registry.manifest(repository, digest) ?? {};
    const { manifests = [], subject } = JSON.parse(bytes?.toString() ?? '{}') as ManifestJson;
    return manifests.some((child) => child.digest === reference) || subject?.digest === reference;
  });
  if (parent === undefined) return undefined;
  const message = `Manifest is still referenced by one or more parent images: ${parent}`;
  return refusal('GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE', message);
}

function refusal(code: string, message: string): HookResult {
  const body = JSON.stringify({ errors: [{ code, message }] });
  return { status: 400, headers: { 'content-type': 'application/json' }, body };
}
