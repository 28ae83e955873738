/**
 * The subset of each engine's objects that the renderers produce: plain data in the form of the API, ready to be
 * serialized. The engines' own CRD schemas verify it (test/fixtures/crds).
 */
export interface ObjectMetadata {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export type FailurePolicy = 'Ignore' | 'Fail';

export interface NamespaceSelector {
  readonly matchExpressions: readonly {
    readonly key: string;
    readonly operator: 'NotIn' | 'In' | 'Exists' | 'DoesNotExist';
    readonly values?: readonly string[];
  }[];
}

/** A rule in the form of the admission API. */
export interface AdmissionRule {
  readonly apiGroups: readonly string[];
  readonly apiVersions: readonly string[];
  readonly operations: readonly ('CREATE' | 'UPDATE')[];
  readonly resources: readonly string[];
}

export interface CelCondition {
  readonly name: string;
  readonly expression: string;
}

/** policies.kyverno.io/v1 */
export interface KyvernoMutatingPolicyObject {
  readonly apiVersion: 'policies.kyverno.io/v1';
  readonly kind: 'MutatingPolicy';
  readonly metadata: ObjectMetadata;
  readonly spec: {
    readonly failurePolicy: FailurePolicy;
    readonly reinvocationPolicy: 'Never';
    readonly webhookConfiguration: { readonly timeoutSeconds: number };
    readonly evaluation: {
      readonly admission: { readonly enabled: true };
      readonly background: { readonly enabled: false };
      readonly mutateExisting: { readonly enabled: false };
    };
    readonly autogen: { readonly podControllers: { readonly controllers: readonly string[] } };
    readonly matchConstraints: {
      readonly namespaceSelector: NamespaceSelector;
      readonly resourceRules: readonly AdmissionRule[];
    };
    readonly matchConditions: readonly CelCondition[];
    readonly variables: readonly CelCondition[];
    readonly mutations: readonly {
      readonly patchType: 'JSONPatch';
      readonly jsonPatch: { readonly expression: string };
    }[];
  };
}

/** kyverno.io/v1 */
export interface KyvernoClusterPolicyObject {
  readonly apiVersion: 'kyverno.io/v1';
  readonly kind: 'ClusterPolicy';
  readonly metadata: ObjectMetadata;
  readonly spec: {
    readonly admission: true;
    readonly background: false;
    readonly webhookConfiguration: { readonly failurePolicy: FailurePolicy; readonly timeoutSeconds: number };
    readonly rules: readonly KyvernoRule[];
  };
}

export interface KyvernoRule {
  readonly name: string;
  readonly match: KyvernoMatch;
  readonly exclude: KyvernoMatch;
  readonly skipBackgroundRequests: true;
  readonly context: readonly KyvernoContextEntry[];
  readonly preconditions?: KyvernoConditions;
  readonly mutate: { readonly foreach: readonly KyvernoForeach[] };
}

export interface KyvernoMatch {
  readonly any: readonly {
    readonly resources: {
      readonly kinds?: readonly string[];
      readonly operations?: readonly ('CREATE' | 'UPDATE')[];
      readonly namespaces?: readonly string[];
    };
  }[];
}

export type KyvernoContextEntry =
  | { readonly name: string; readonly configMap: { readonly name: string; readonly namespace: string } }
  | {
      readonly name: string;
      readonly apiCall: {
        readonly method: 'POST';
        readonly data: readonly { readonly key: string; readonly value: string }[];
        readonly service: {
          readonly url: string;
          readonly headers: readonly { readonly key: string; readonly value: string }[];
          readonly caBundle?: string;
        };
      };
    };

export interface KyvernoConditions {
  readonly all: readonly {
    readonly key: string;
    readonly operator: 'Equals' | 'GreaterThan';
    readonly value: boolean | number;
  }[];
}

export interface KyvernoForeach {
  readonly list: string;
  readonly preconditions?: KyvernoConditions;
  /** Exactly one of these two. */
  readonly patchesJson6902?: string;
  readonly patchStrategicMerge?: object;
}

/** externaldata.gatekeeper.sh/v1beta1 */
export interface GatekeeperProviderObject {
  readonly apiVersion: 'externaldata.gatekeeper.sh/v1beta1';
  readonly kind: 'Provider';
  readonly metadata: ObjectMetadata;
  readonly spec: { readonly url: string; readonly timeout: number; readonly caBundle: string };
}

/** mutations.gatekeeper.sh/v1 */
export interface GatekeeperAssignObject {
  readonly apiVersion: 'mutations.gatekeeper.sh/v1';
  readonly kind: 'Assign';
  readonly metadata: ObjectMetadata;
  readonly spec: {
    readonly applyTo: readonly {
      readonly groups: readonly string[];
      readonly versions: readonly string[];
      readonly kinds: readonly string[];
      readonly operations: readonly ('CREATE' | 'UPDATE')[];
    }[];
    readonly match: {
      readonly source: 'Original';
      readonly scope: 'Namespaced';
      readonly kinds: readonly { readonly apiGroups: readonly string[]; readonly kinds: readonly string[] }[];
      readonly namespaces?: readonly string[];
      readonly excludedNamespaces: readonly string[];
      /** Of the Pod. */
      readonly labelSelector?: {
        readonly matchExpressions: readonly {
          readonly key: string;
          readonly operator: 'NotIn' | 'In' | 'Exists' | 'DoesNotExist';
          readonly values?: readonly string[];
        }[];
      };
    };
    readonly location: string;
    readonly parameters: {
      readonly pathTests: readonly { readonly subPath: string; readonly condition: 'MustExist' }[];
      readonly assign: {
        readonly externalData: {
          readonly provider: string;
          readonly dataSource: 'ValueAtLocation';
          readonly failurePolicy: FailurePolicy;
        };
      };
    };
  };
}

/** admissionregistration.k8s.io/v1 */
export interface MutatingWebhookObject {
  readonly apiVersion: 'admissionregistration.k8s.io/v1';
  readonly kind: 'MutatingWebhookConfiguration';
  readonly metadata: ObjectMetadata;
  readonly webhooks: readonly {
    readonly name: string;
    readonly admissionReviewVersions: readonly string[];
    readonly sideEffects: 'NoneOnDryRun';
    readonly failurePolicy: FailurePolicy;
    readonly reinvocationPolicy: 'IfNeeded' | 'Never';
    readonly matchPolicy: 'Equivalent';
    readonly timeoutSeconds: number;
    readonly clientConfig: WebhookClientConfig;
    readonly namespaceSelector: NamespaceSelector;
    readonly rules: readonly (AdmissionRule & { readonly scope: 'Namespaced' })[];
    readonly matchConditions: readonly CelCondition[];
  }[];
}

export interface WebhookClientConfig {
  readonly url?: string;
  readonly service?: {
    readonly name: string;
    readonly namespace: string;
    readonly port: number;
    readonly path: string;
  };
  readonly caBundle?: string;
}

/** admissionregistration.k8s.io/v1, Kubernetes 1.36 and newer */
export interface MutatingAdmissionPolicyObject {
  readonly apiVersion: 'admissionregistration.k8s.io/v1';
  readonly kind: 'MutatingAdmissionPolicy';
  readonly metadata: ObjectMetadata;
  readonly spec: {
    readonly failurePolicy: FailurePolicy;
    readonly reinvocationPolicy: 'IfNeeded';
    readonly matchConstraints: {
      readonly matchPolicy: 'Equivalent';
      readonly namespaceSelector: NamespaceSelector;
      readonly resourceRules: readonly (AdmissionRule & { readonly scope: 'Namespaced' })[];
    };
    readonly variables: readonly CelCondition[];
    readonly mutations: readonly {
      readonly patchType: 'JSONPatch';
      readonly jsonPatch: { readonly expression: string };
    }[];
  };
}

/** admissionregistration.k8s.io/v1: without it, its policy has no effect. */
export interface MutatingAdmissionPolicyBindingObject {
  readonly apiVersion: 'admissionregistration.k8s.io/v1';
  readonly kind: 'MutatingAdmissionPolicyBinding';
  readonly metadata: ObjectMetadata;
  readonly spec: { readonly policyName: string };
}

/** kyverno.io/v2, Kyverno 1.13 and newer */
export interface GlobalContextEntryObject {
  readonly apiVersion: 'kyverno.io/v2';
  readonly kind: 'GlobalContextEntry';
  readonly metadata: ObjectMetadata;
  readonly spec: {
    readonly kubernetesResource: { readonly group: string; readonly version: string; readonly resource: string };
    readonly projections: readonly { readonly name: string; readonly jmesPath: string }[];
  };
}

/** Our own kind: a part of the table of mirrored images. */
export interface ImageTableObject {
  readonly apiVersion: 'image-swapper.io/v1alpha1';
  readonly kind: 'ImageTable';
  readonly metadata: ObjectMetadata;
  readonly spec: {
    readonly policy: string;
    readonly hash: string;
    readonly target: string;
    readonly images: Readonly<Record<string, string>>;
  };
}

/** apiextensions.k8s.io/v1: the definition of {@link ImageTableObject}. */
export interface ImageTableDefinitionObject {
  readonly apiVersion: 'apiextensions.k8s.io/v1';
  readonly kind: 'CustomResourceDefinition';
  readonly metadata: ObjectMetadata;
  readonly spec: {
    readonly group: string;
    readonly scope: 'Cluster';
    readonly names: {
      readonly kind: string;
      readonly plural: string;
      readonly singular: string;
      readonly listKind: string;
    };
    readonly versions: readonly {
      readonly name: string;
      readonly served: true;
      readonly storage: true;
      readonly schema: { readonly openAPIV3Schema: object };
    }[];
  };
}

/** rbac.authorization.k8s.io/v1: lets Kyverno read the table. */
export interface TableReaderObject {
  readonly apiVersion: 'rbac.authorization.k8s.io/v1';
  readonly kind: 'ClusterRole';
  readonly metadata: ObjectMetadata;
  readonly rules: readonly {
    readonly apiGroups: readonly string[];
    readonly resources: readonly string[];
    readonly verbs: readonly string[];
  }[];
}

export type PolicyObject =
  | KyvernoMutatingPolicyObject
  | KyvernoClusterPolicyObject
  | GatekeeperProviderObject
  | GatekeeperAssignObject
  | MutatingWebhookObject
  | MutatingAdmissionPolicyObject
  | MutatingAdmissionPolicyBindingObject
  | GlobalContextEntryObject
  | ImageTableObject
  | ImageTableDefinitionObject
  | TableReaderObject;
