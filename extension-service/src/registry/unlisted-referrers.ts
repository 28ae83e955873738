import type { ParsedManifest, RawManifest } from './manifest.js';
import type { Descriptor } from './types.js';

/**
 * Manifests with a `subject` that a target accepted without maintaining the list of the subject's referrers, which the
 * client must then do (OCI distribution-spec 1.1, "Pushing Manifests with Subject").
 */
export class UnlistedReferrers {
  readonly #bySubject = new Map<string, Map<string, Descriptor>>();

  add(subject: string, { mediaType, digest, bytes }: RawManifest, { artifactType, annotations }: ParsedManifest): void {
    this.addDescriptor(subject, {
      mediaType,
      digest,
      size: bytes.length,
      ...(artifactType !== undefined && { artifactType }),
      ...(annotations !== undefined && { annotations }),
    });
  }

  addDescriptor(subject: string, descriptor: Descriptor): void {
    const known = this.#bySubject.get(subject) ?? new Map<string, Descriptor>();
    known.set(descriptor.digest, descriptor);
    this.#bySubject.set(subject, known);
  }

  /** The referrers that are not listed yet, by subject; they count as listed from now on. */
  take(): readonly (readonly [string, readonly Descriptor[]])[] {
    const taken = [...this.#bySubject].map(([subject, known]) => [subject, [...known.values()]] as const);
    this.#bySubject.clear();
    return taken;
  }
}
