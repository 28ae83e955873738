{{- /* Written by "npm run generate" from values.yaml; do not edit. */ -}}
{{- define "image-swapper.sections" -}}
{{- if not .Values.global }}{{ $_ := set .Values "global" (fromJson `{"imageRegistry":"","imagePullSecrets":[]}`) }}{{ end }}
{{- if not .Values.image }}{{ $_ := set .Values "image" (fromJson `{"repository":"ghcr.io/image-swapper/image-swapper","tag":"","digest":"","pullPolicy":"IfNotPresent"}`) }}{{ end }}
{{- if not .Values.serviceAccount }}{{ $_ := set .Values "serviceAccount" (fromJson `{"create":true,"annotations":{},"name":""}`) }}{{ end }}
{{- if not .Values.rbac }}{{ $_ := set .Values "rbac" (fromJson `{"create":true}`) }}{{ end }}
{{- if not .Values.policies }}{{ $_ := set .Values "policies" (fromJson `{"engine":"kyverno","undecidable":"refuse","table":false,"failClosed":false,"manage":false,"url":"","timeoutSeconds":null,"excludedNamespaces":[],"annotations":{},"ephemeralContainers":false}`) }}{{ end }}
{{- if not .Values.tls }}{{ $_ := set .Values "tls" (fromJson `{"mode":"selfSigned","existingSecret":"","caBundle":"","caConfigMap":{"name":"","key":"ca.crt"}}`) }}{{ end }}
{{- if not .Values.certmanager }}{{ $_ := set .Values "certmanager" (fromJson `{"enabled":false,"issuerKind":"Issuer","issuerName":""}`) }}{{ end }}
{{- if not .Values.webhook }}{{ $_ := set .Values "webhook" (fromJson `{"failurePolicy":"Ignore","reinvocationPolicy":"IfNeeded","timeoutSeconds":null,"namespaceSelector":{},"objectSelector":{}}`) }}{{ end }}
{{- if not .Values.awsSecretKeys }}{{ $_ := set .Values "awsSecretKeys" (fromJson `{"accessKeyID":"aws_access_key_id","secretAccessKey":"aws_secret_access_key"}`) }}{{ end }}
{{- if not .Values.queue }}{{ $_ := set .Values "queue" (fromJson `{"existingSecret":"","passwordKey":"password","caKey":"","sentinelPasswordKey":""}`) }}{{ end }}
{{- if not .Values.secretReader }}{{ $_ := set .Values "secretReader" (fromJson `{"enabled":false,"secretNames":[]}`) }}{{ end }}
{{- if not .Values.prewarm }}{{ $_ := set .Values "prewarm" (fromJson `{"enabled":false,"schedule":"","resources":{},"ttlSecondsAfterFinished":86400}`) }}{{ end }}
{{- if not .Values.uninstall }}{{ $_ := set .Values "uninstall" (fromJson `{"hooks":true}`) }}{{ end }}
{{- if not .Values.plainHttp }}{{ $_ := set .Values "plainHttp" (fromJson `{"enabled":"auto"}`) }}{{ end }}
{{- if not .Values.service }}{{ $_ := set .Values "service" (fromJson `{"type":"ClusterIP","port":8443,"httpPort":8081,"metricsPort":8080,"annotations":{},"ipFamilyPolicy":"","ipFamilies":[]}`) }}{{ end }}
{{- if not .Values.networkPolicy }}{{ $_ := set .Values "networkPolicy" (fromJson `{"enabled":true,"engineNamespaces":[],"apiServerCidrs":["0.0.0.0/0","::/0"],"metricsNamespaces":[],"egress":{"enabled":true,"extraPorts":[]},"extraIngress":[],"extraEgress":[]}`) }}{{ end }}
{{- if not .Values.networkPolicy.egress }}{{ $_ := set .Values.networkPolicy "egress" (fromJson `{"enabled":true,"extraPorts":[]}`) }}{{ end }}
{{- if not .Values.autoscaling }}{{ $_ := set .Values "autoscaling" (fromJson `{"enabled":false,"minReplicas":2,"maxReplicas":10,"targetCPUUtilizationPercentage":80,"targetMemoryUtilizationPercentage":null}`) }}{{ end }}
{{- if not .Values.pdb }}{{ $_ := set .Values "pdb" (fromJson `{"enabled":true,"minAvailable":"","maxUnavailable":1}`) }}{{ end }}
{{- if not .Values.deployment }}{{ $_ := set .Values "deployment" (fromJson `{"annotations":{},"priorityClassName":""}`) }}{{ end }}
{{- if not .Values.extraCaCertificates }}{{ $_ := set .Values "extraCaCertificates" (fromJson `{"configMapName":"","secretName":"","key":"ca.crt"}`) }}{{ end }}
{{- if not .Values.serviceMonitor }}{{ $_ := set .Values "serviceMonitor" (fromJson `{"enabled":false,"labels":{},"interval":"30s","metricRelabelings":[],"relabelings":[]}`) }}{{ end }}
{{- if not .Values.prometheusRule }}{{ $_ := set .Values "prometheusRule" (fromJson `{"enabled":false,"labels":{}}`) }}{{ end }}
{{- if not .Values.dashboard }}{{ $_ := set .Values "dashboard" (fromJson `{"enabled":false,"labels":{"grafana_dashboard":"1"},"annotations":{}}`) }}{{ end }}
{{- end }}
