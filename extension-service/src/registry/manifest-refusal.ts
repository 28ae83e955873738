import { parseBoundedJson } from '../core/json-bounds.js';
import { RegistryError } from './errors.js';
import { MEDIA_TYPES, type RawManifest } from './manifest.js';
import { MISSING_CONTENT, mediaTypeAdvice } from './transport/status-class.js';

const CONTENT_CODES: ReadonlySet<string> = new Set(['MANIFEST_BLOB_UNKNOWN', 'BLOB_UNKNOWN', 'MANIFEST_UNKNOWN']);

/** Whether a registry rejected a manifest because it does not see the content that the manifest refers to. */
export function isMissingContent(error: unknown): error is RegistryError {
  return (
    error instanceof RegistryError &&
    error.kind === 'missing' &&
    (error.diagnostics.some(({ code }) => CONTENT_CODES.has(code)) || MISSING_CONTENT.test(error.responseText))
  );
}

/**
 * Whether the registry may see the content, or the repository that the layers were sent to, shortly. distribution rejects
 * foreign layers with 500.
 */
export function isLagging(error: unknown): boolean {
  if (!(error instanceof RegistryError) || error.kind !== 'missing' || (error.status ?? 0) >= 500) return false;
  return error.diagnostics.some(({ code }) => code === 'NAME_UNKNOWN') || isMissingContent(error);
}

/**
 * Whether a registry calls a manifest invalid without a reason. Quay does so while another request stores the same manifest
 * (GoogleContainerTools/jib#2470).
 */
export function isVagueRefusal(error: unknown): boolean {
  if (!(error instanceof RegistryError) || error.status !== 400 || error.diagnostics.length === 0) return false;
  return error.diagnostics.every(
    ({ code, message }) => code === 'MANIFEST_INVALID' && /^(manifest invalid)?$/i.test(message.trim()),
  );
}

/** Whether a registry says that a tag is immutable: such a conflict does not pass. */
export function isAboutImmutability({ diagnostics }: RegistryError): boolean {
  return diagnostics.some(({ code, message }) => /immutable|overwrit/i.test(`${code} ${message}`));
}

/** Adds the reasons for a rejection that the manifest itself shows: foreign layers, a media type. */
export function explainManifestRefusal(error: unknown, { mediaType, bytes }: RawManifest): unknown {
  if (!(error instanceof RegistryError)) return error;
  const isAboutUrls = error.kind === 'invalid' && /\burls?\b/i.test(error.responseText);
  if ((isMissingContent(error) || isAboutUrls) && hasForeignLayers(bytes)) {
    const advice =
      'the image has foreign layers, which are stored at other URLs and not copied: allow these URLs in the registry (distribution: validation.manifests.urls.allow)';
    return error.as({ kind: 'unsupported', retryable: false, advice });
  }
  const isDocker = mediaType === MEDIA_TYPES.dockerList || mediaType === MEDIA_TYPES.dockerManifest;
  const isPlain415 = error.kind === 'unsupported' && !error.advised;
  if (isPlain415 && (isDocker || error.status === 415 || error.status === 406)) {
    return error.as({ kind: 'unsupported', retryable: false, advice: mediaTypeAdvice(mediaType) });
  }
  return error;
}

/** Whether a layer is stored outside registries. */
function hasForeignLayers(bytes: Buffer): boolean {
  try {
    const { layers } = parseBoundedJson(bytes.toString('utf8'), bytes.length) as { readonly layers?: unknown };
    if (!Array.isArray(layers)) return false;
    return layers.some(
      (layer: unknown) => ((layer as { readonly urls?: readonly unknown[] } | null)?.urls?.length ?? 0) > 0,
    );
  } catch {
    return false;
  }
}
