{{- /* Written by "npm run generate" from extension-service/src/core/engines; do not edit. */ -}}
{{/* The engines and what each supports: a JSON list. */}}
{{- define "image-swapper.engines" -}}
{{- $name := include "image-swapper.policyName" . -}}
[{
  "name": "kyverno",
  "title": "Kyverno",
  "namespaces": [
    "kyverno"
  ],
  "calls": true,
  "route": "kyverno",
  "proves": [
    "secret"
  ],
  "calledByApiServer": false,
  "plainHttp": true,
  "httpsOnly": false,
  "usualTimeout": 3,
  "imagesOnly": false,
  "startsCopies": true,
  "carriesAuthority": false,
  "trustsItsStoreOnly": true,
  "needsAuthority": false,
  "readsConfigMap": false,
  "authorityIsInjected": false,
  "authorityCarrier": "Kyverno's trust store",
  "api": "policies.kyverno.io/v1/MutatingPolicy",
  "install": "Kyverno 1.19 or newer (helm repo add kyverno https://kyverno.github.io/kyverno && helm install kyverno kyverno/kyverno -n kyverno --create-namespace), or, with an older one, --set policies.engine=kyverno-clusterpolicy",
  "requires": "image-swapper.requireKyverno",
  "webhookValues": false,
  "kinds": [
    {
      "group": "policies.kyverno.io",
      "apiVersion": "policies.kyverno.io/v1",
      "kind": "MutatingPolicy",
      "resource": "mutatingpolicies",
      "names": [
        "{{ $name }}"
      ],
      "authority": false
    }
  ]
}, {
  "name": "kyverno/table",
  "title": "Kyverno",
  "namespaces": [
    "kyverno"
  ],
  "calls": true,
  "route": "kyverno",
  "proves": [
    "secret"
  ],
  "calledByApiServer": false,
  "plainHttp": true,
  "httpsOnly": false,
  "usualTimeout": 3,
  "imagesOnly": false,
  "startsCopies": true,
  "carriesAuthority": false,
  "trustsItsStoreOnly": true,
  "needsAuthority": false,
  "readsConfigMap": false,
  "authorityIsInjected": false,
  "authorityCarrier": "Kyverno's trust store",
  "api": "policies.kyverno.io/v1/MutatingPolicy",
  "install": "Kyverno 1.19 or newer (helm repo add kyverno https://kyverno.github.io/kyverno && helm install kyverno kyverno/kyverno -n kyverno --create-namespace), or, with an older one, --set policies.engine=kyverno-clusterpolicy",
  "requires": "image-swapper.requireKyverno",
  "webhookValues": false,
  "kinds": [
    {
      "group": "image-swapper.io",
      "apiVersion": "image-swapper.io/v1alpha1",
      "kind": "ImageTable",
      "resource": "imagetables",
      "names": [
        "{{ $name }}-0",
        "{{ $name }}-1",
        "{{ $name }}-2",
        "{{ $name }}-3",
        "{{ $name }}-4",
        "{{ $name }}-5",
        "{{ $name }}-6",
        "{{ $name }}-7",
        "{{ $name }}-8",
        "{{ $name }}-9",
        "{{ $name }}-10",
        "{{ $name }}-11",
        "{{ $name }}-12",
        "{{ $name }}-13",
        "{{ $name }}-14",
        "{{ $name }}-15",
        "{{ $name }}-16",
        "{{ $name }}-17",
        "{{ $name }}-18",
        "{{ $name }}-19",
        "{{ $name }}-20",
        "{{ $name }}-21",
        "{{ $name }}-22",
        "{{ $name }}-23",
        "{{ $name }}-24",
        "{{ $name }}-25",
        "{{ $name }}-26",
        "{{ $name }}-27",
        "{{ $name }}-28",
        "{{ $name }}-29",
        "{{ $name }}-30",
        "{{ $name }}-31",
        "{{ $name }}-32",
        "{{ $name }}-33",
        "{{ $name }}-34",
        "{{ $name }}-35",
        "{{ $name }}-36",
        "{{ $name }}-37",
        "{{ $name }}-38",
        "{{ $name }}-39"
      ],
      "authority": false
    },
    {
      "group": "kyverno.io",
      "apiVersion": "kyverno.io/v2",
      "kind": "GlobalContextEntry",
      "resource": "globalcontextentries",
      "names": [
        "{{ $name }}"
      ],
      "authority": false
    },
    {
      "group": "policies.kyverno.io",
      "apiVersion": "policies.kyverno.io/v1",
      "kind": "MutatingPolicy",
      "resource": "mutatingpolicies",
      "names": [
        "{{ $name }}"
      ],
      "authority": false
    }
  ]
}, {
  "name": "kyverno-clusterpolicy",
  "title": "Kyverno",
  "namespaces": [
    "kyverno"
  ],
  "calls": true,
  "route": "kyverno",
  "proves": [
    "token"
  ],
  "calledByApiServer": false,
  "plainHttp": false,
  "httpsOnly": false,
  "usualTimeout": 3,
  "imagesOnly": false,
  "startsCopies": true,
  "carriesAuthority": true,
  "trustsItsStoreOnly": false,
  "needsAuthority": false,
  "readsConfigMap": true,
  "authorityIsInjected": false,
  "authorityCarrier": "ClusterPolicy",
  "api": "kyverno.io/v1/ClusterPolicy",
  "install": "Kyverno (helm repo add kyverno https://kyverno.github.io/kyverno && helm install kyverno kyverno/kyverno -n kyverno --create-namespace)",
  "requires": "image-swapper.requireClusterPolicy",
  "retirement": "Kyverno 1.20 refuses to create or change a ClusterPolicy, and its chart refuses the upgrade to 1.20 while one exists",
  "webhookValues": false,
  "kinds": [
    {
      "group": "kyverno.io",
      "apiVersion": "kyverno.io/v1",
      "kind": "ClusterPolicy",
      "resource": "clusterpolicies",
      "names": [
        "{{ $name }}"
      ],
      "authority": false
    }
  ]
}, {
  "name": "gatekeeper",
  "title": "Gatekeeper",
  "namespaces": [
    "gatekeeper-system"
  ],
  "calls": true,
  "route": "gatekeeper",
  "proves": [
    "certificate"
  ],
  "calledByApiServer": false,
  "plainHttp": false,
  "httpsOnly": true,
  "usualTimeout": 1,
  "maxTimeout": 28,
  "whyMaxTimeout": "whose own webhook times out after 30, before the Assigns could apply their failure policy",
  "imagesOnly": true,
  "startsCopies": false,
  "carriesAuthority": true,
  "trustsItsStoreOnly": false,
  "needsAuthority": true,
  "readsConfigMap": false,
  "authorityIsInjected": false,
  "authorityCarrier": "Provider",
  "api": "externaldata.gatekeeper.sh/v1beta1/Provider",
  "install": "Gatekeeper 3.23 or newer (helm repo add gatekeeper https://open-policy-agent.github.io/gatekeeper/charts && helm install gatekeeper gatekeeper/gatekeeper -n gatekeeper-system --create-namespace)",
  "webhookValues": false,
  "kinds": [
    {
      "group": "externaldata.gatekeeper.sh",
      "apiVersion": "externaldata.gatekeeper.sh/v1beta1",
      "kind": "Provider",
      "resource": "providers",
      "names": [
        "{{ $name }}"
      ],
      "authority": true
    },
    {
      "group": "mutations.gatekeeper.sh",
      "apiVersion": "mutations.gatekeeper.sh/v1",
      "kind": "Assign",
      "resource": "assign",
      "names": [
        "zz-{{ $name }}-containers",
        "zz-{{ $name }}-containers-1",
        "zz-{{ $name }}-containers-2",
        "zz-{{ $name }}-containers-3",
        "zz-{{ $name }}-containers-4",
        "zz-{{ $name }}-containers-5",
        "zz-{{ $name }}-containers-6",
        "zz-{{ $name }}-containers-7",
        "zz-{{ $name }}-containers-8",
        "zz-{{ $name }}-initcontainers",
        "zz-{{ $name }}-initcontainers-1",
        "zz-{{ $name }}-initcontainers-2",
        "zz-{{ $name }}-initcontainers-3",
        "zz-{{ $name }}-initcontainers-4",
        "zz-{{ $name }}-initcontainers-5",
        "zz-{{ $name }}-initcontainers-6",
        "zz-{{ $name }}-initcontainers-7",
        "zz-{{ $name }}-initcontainers-8",
        "zz-{{ $name }}-volumes",
        "zz-{{ $name }}-volumes-1",
        "zz-{{ $name }}-volumes-2",
        "zz-{{ $name }}-volumes-3",
        "zz-{{ $name }}-volumes-4",
        "zz-{{ $name }}-volumes-5",
        "zz-{{ $name }}-volumes-6",
        "zz-{{ $name }}-volumes-7",
        "zz-{{ $name }}-volumes-8"
      ],
      "authority": false
    }
  ]
}, {
  "name": "webhook",
  "title": "the API server",
  "namespaces": [],
  "calls": true,
  "route": "webhook",
  "proves": [
    "path",
    "certificate"
  ],
  "calledByApiServer": true,
  "plainHttp": false,
  "httpsOnly": true,
  "usualTimeout": 3,
  "imagesOnly": false,
  "startsCopies": true,
  "carriesAuthority": true,
  "trustsItsStoreOnly": false,
  "needsAuthority": false,
  "readsConfigMap": false,
  "authorityIsInjected": true,
  "authorityCarrier": "webhook",
  "webhookValues": true,
  "kinds": [
    {
      "group": "admissionregistration.k8s.io",
      "apiVersion": "admissionregistration.k8s.io/v1",
      "kind": "MutatingWebhookConfiguration",
      "resource": "mutatingwebhookconfigurations",
      "names": [
        "{{ $name }}"
      ],
      "authority": true
    }
  ]
}, {
  "name": "mutatingadmissionpolicy",
  "title": "the API server",
  "namespaces": [],
  "calls": false,
  "proves": [],
  "calledByApiServer": false,
  "plainHttp": false,
  "httpsOnly": false,
  "imagesOnly": false,
  "startsCopies": false,
  "carriesAuthority": false,
  "trustsItsStoreOnly": false,
  "api": "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy",
  "install": "Kubernetes 1.36 or newer, or, with an older one, policies.engine=webhook",
  "managedOnly": "its policies use a table of images that only the service can maintain",
  "webhookValues": false,
  "kinds": [
    {
      "group": "admissionregistration.k8s.io",
      "apiVersion": "admissionregistration.k8s.io/v1",
      "kind": "MutatingAdmissionPolicy",
      "resource": "mutatingadmissionpolicies",
      "names": [
        "{{ $name }}",
        "{{ $name }}-recent"
      ],
      "authority": false
    },
    {
      "group": "admissionregistration.k8s.io",
      "apiVersion": "admissionregistration.k8s.io/v1",
      "kind": "MutatingAdmissionPolicyBinding",
      "resource": "mutatingadmissionpolicybindings",
      "names": [
        "{{ $name }}",
        "{{ $name }}-recent"
      ],
      "authority": false
    }
  ]
}, {
  "name": "mutatingadmissionpolicy/webhook",
  "title": "the API server",
  "namespaces": [],
  "calls": true,
  "route": "webhook",
  "proves": [
    "path",
    "certificate"
  ],
  "calledByApiServer": true,
  "plainHttp": false,
  "httpsOnly": true,
  "usualTimeout": 3,
  "imagesOnly": false,
  "startsCopies": false,
  "carriesAuthority": true,
  "trustsItsStoreOnly": false,
  "needsAuthority": false,
  "readsConfigMap": false,
  "authorityIsInjected": true,
  "authorityCarrier": "webhook",
  "api": "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy",
  "install": "Kubernetes 1.36 or newer, or, with an older one, policies.engine=webhook",
  "managedOnly": "its policies use a table of images that only the service can maintain",
  "webhookValues": false,
  "kinds": [
    {
      "group": "admissionregistration.k8s.io",
      "apiVersion": "admissionregistration.k8s.io/v1",
      "kind": "MutatingAdmissionPolicy",
      "resource": "mutatingadmissionpolicies",
      "names": [
        "{{ $name }}",
        "{{ $name }}-recent"
      ],
      "authority": false
    },
    {
      "group": "admissionregistration.k8s.io",
      "apiVersion": "admissionregistration.k8s.io/v1",
      "kind": "MutatingAdmissionPolicyBinding",
      "resource": "mutatingadmissionpolicybindings",
      "names": [
        "{{ $name }}",
        "{{ $name }}-recent"
      ],
      "authority": false
    },
    {
      "group": "admissionregistration.k8s.io",
      "apiVersion": "admissionregistration.k8s.io/v1",
      "kind": "MutatingWebhookConfiguration",
      "resource": "mutatingwebhookconfigurations",
      "names": [
        "{{ $name }}"
      ],
      "authority": true
    }
  ]
}]
{{- end }}

{{/*
The same of the engine in use, as JSON; {} for none. With policies.undecidable webhook, the engine that also calls the
service has this name and "/webhook"; with policies.table, the engine that reads a table has this name and "/table".
*/}}
{{- define "image-swapper.engineFacts" -}}
{{- $engine := include "image-swapper.engine" . }}
{{- $facts := dict }}
{{- $called := printf "%s/%s" $engine (ternary "table" (include "image-swapper.undecidable" .) (eq (include "image-swapper.table" .) "true")) }}
{{- range include "image-swapper.engines" . | fromJsonArray }}{{ if or (eq .name $called) (and (eq .name $engine) (not $facts)) }}{{ $facts = . }}{{ end }}{{ end }}
{{- $facts | toJson }}
{{- end }}
