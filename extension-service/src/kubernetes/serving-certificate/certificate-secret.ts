import type { V1Secret } from '@kubernetes/client-node';
import type { ClusterAccess } from '../api.js';
import { apiProblem, statusOf } from '../api-problem.js';
import { callOptions } from '../call-options.js';
import { ForeignSecretError, formatMaterial, parseMaterial } from './material.js';
import type { CertificateMaterial } from './material.js';

/** An operator's request, on the Secret: `leaf` or `ca`. It is removed once it is done. */
export const ROTATE_ANNOTATION = 'image-swapper.io/rotate';

export interface StoredCertificate {
  readonly material: CertificateMaterial;
  /** The request in the annotation. */
  readonly asked?: 'leaf' | 'ca';
  /** The stored object; undefined if there is none. */
  readonly secret: V1Secret | undefined;
}

/** Another replica was faster: read again. */
export class StaleSecretError extends Error {
  override readonly name = 'StaleSecretError';
}

/** The Secret that the replicas share. */
export class CertificateSecret {
  /** @param name called again for each request */
  constructor(
    private readonly cluster: ClusterAccess,
    private readonly name: () => string,
  ) {}

  /** @throws Error with the problem and its remedy */
  async read(): Promise<StoredCertificate> {
    const { namespace, core } = this.cluster;
    const name = this.name();
    let secret: V1Secret | undefined;
    try {
      secret = await core.readNamespacedSecret({ name, namespace }, await callOptions());
    } catch (error) {
      if (statusOf(error) !== 404)
        throw new Error(apiProblem(this.label(name), error, ['get', 'update']), { cause: error });
    }
    const asked = secret?.metadata?.annotations?.[ROTATE_ANNOTATION];
    try {
      return {
        material: parseMaterial(decode(secret?.data ?? {})),
        secret,
        ...((asked === 'leaf' || asked === 'ca') && { asked }),
      };
    } catch (error) {
      if (error instanceof ForeignSecretError)
        throw new Error(`${this.label(name)}: ${error.message}`, { cause: error });
      throw error;
    }
  }

  /**
   * @param answered whether the annotation's request is done
   * @throws StaleSecretError if it was changed since `before` was read
   */
  async write(before: StoredCertificate, material: CertificateMaterial, answered: boolean): Promise<void> {
    const { namespace, core } = this.cluster;
    const name = this.name();
    const data = encode(formatMaterial(material));
    try {
      if (before.secret === undefined) {
        const body: V1Secret = { metadata: { name, namespace }, type: 'Opaque', data };
        await core.createNamespacedSecret({ namespace, body }, await callOptions());
        return;
      }
      const { [ROTATE_ANNOTATION]: asked, ...others } = before.secret.metadata?.annotations ?? {};
      const annotations = answered || asked === undefined ? others : { ...others, [ROTATE_ANNOTATION]: asked };
      // With the resourceVersion that was read, so that the API server rejects a write after another replica's.
      const body: V1Secret = { ...before.secret, metadata: { ...before.secret.metadata, annotations }, data };
      await core.replaceNamespacedSecret({ name, namespace, body }, await callOptions());
    } catch (error) {
      if (statusOf(error) === 409) throw new StaleSecretError(this.label(name), { cause: error });
      const verb = before.secret === undefined ? 'create (or create it empty beforehand)' : 'update';
      throw new Error(apiProblem(this.label(name), error, [verb]), { cause: error });
    }
  }

  private label(name: string): string {
    return `Secret ${this.cluster.namespace}/${name}`;
  }
}

function decode(data: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'base64').toString('utf8')]),
  );
}

function encode(data: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]));
}
