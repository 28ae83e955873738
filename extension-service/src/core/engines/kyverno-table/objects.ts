import { jmespathString } from '../../policies/literals.js';
import type {
  GlobalContextEntryObject,
  ImageTableDefinitionObject,
  ImageTableObject,
  TableReaderObject,
} from '../../policies/objects.js';
import { DEFAULT_NAME, policyMetadata } from '../../policies/options.js';
import type { PolicyOptions } from '../../policies/options.js';
import { IMAGE_TABLES, pageNames } from './names.js';
import type { TablePage } from './pages.js';

const { group, version, kind, plural } = IMAGE_TABLES;

/** The projection of the GlobalContextEntry that the policy reads: a list of `{target, images}`. */
export const TABLE_PROJECTION = 'tables';

export interface TableObjectOptions extends Pick<PolicyOptions, 'labels' | 'annotations'> {
  /** `policies.name`. */
  readonly name: string;
  /** Changes when entries are no longer valid; objects with another one are ignored. */
  readonly hash: string;
}

/** The objects that contain the table. */
export function imageTables(
  { name, hash, ...options }: TableObjectOptions,
  pages: readonly TablePage[],
): readonly ImageTableObject[] {
  const names = pageNames(name);
  return pages.map(({ target, images }, index) => ({
    apiVersion: `${group}/${version}`,
    kind,
    metadata: policyMetadata(names[index] ?? '', options),
    spec: { policy: name, hash, target, images },
  }));
}

/**
 * The entry through which Kyverno's policies read the table: Kyverno watches the objects and keeps the result in memory.
 * Kyverno 1.19.1 stops watching forever when one of its requests fails, and starts again when the entry changes.
 *
 * @param reload another text makes Kyverno read all objects again
 */
export function tableEntry(
  { name, hash, ...options }: TableObjectOptions,
  reload: string | undefined,
): GlobalContextEntryObject {
  const literal = (text: string): string => jmespathString(text, 'name');
  const condition = `spec.policy == ${literal(name)} && spec.hash == ${literal(hash)}`;
  // JMESPath has no comments: this comparison is always true.
  const changing = reload === undefined ? '' : ` && ${literal(reload)} == ${literal(reload)}`;
  return {
    apiVersion: 'kyverno.io/v2',
    kind: 'GlobalContextEntry',
    metadata: policyMetadata(name, options),
    spec: {
      kubernetesResource: { group, version, resource: plural },
      projections: [
        { name: TABLE_PROJECTION, jmesPath: `[?${condition}${changing}].{target: spec.target, images: spec.images}` },
      ],
    },
  };
}

/** The definition of the table's kind, and the right of Kyverno to read its objects. */
export function tableDefinition(
  options: Pick<PolicyOptions, 'labels' | 'annotations'> = {},
): readonly [ImageTableDefinitionObject, TableReaderObject] {
  const string = (description: string) => ({ type: 'string' as const, description });
  const definition: ImageTableDefinitionObject = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: policyMetadata(`${plural}.${group}`, options),
    spec: {
      group,
      scope: 'Cluster',
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description: 'A part of the table of mirrored images. The leader of image-swapper writes it.',
              required: ['spec'],
              properties: {
                spec: {
                  type: 'object',
                  required: ['policy', 'hash', 'target', 'images'],
                  properties: {
                    policy: string('Name of the policy that reads it.'),
                    hash: string('The configuration under which its entries are valid.'),
                    target: string('Name of the target.'),
                    images: {
                      type: 'object',
                      description: 'The image in the target, by the normalized reference of its source.',
                      maxProperties: 500,
                      additionalProperties: { type: 'string', maxLength: 1024 },
                      // Otherwise the API server would store each key again as a managed field.
                      'x-kubernetes-map-type': 'atomic',
                    },
                  },
                },
              },
            },
          },
        },
      ],
    },
  };
  const reader: TableReaderObject = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: policyMetadata(`${DEFAULT_NAME}:kyverno-table`, {
      ...options,
      labels: { ...options.labels, 'rbac.kyverno.io/aggregate-to-admission-controller': 'true' },
    }),
    rules: [{ apiGroups: [group], resources: [plural], verbs: ['get', 'list', 'watch'] }],
  };
  return [definition, reader];
}
