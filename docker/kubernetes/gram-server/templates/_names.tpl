{{/* Names, labels and images. */}}

{{- define "gram.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "gram.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "gram.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "gram.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Takes a list: the context, and the component. */}}
{{- define "gram.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "gram.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "gram.labels" -}}
{{- $root := index . 0 -}}
{{ include "gram.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: gram-server
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "gram.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "gram.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Takes a list: the context, and the target of the Dockerfile. */}}
{{- define "gram.image" -}}
{{- $root := index . 0 -}}
{{- $target := index . 1 -}}
{{- $image := $root.Values.image -}}
{{- default (printf "%s:%s-%s" $image.repository (default $root.Chart.AppVersion $image.tag) $target) (index $image.references $target) }}
{{- end }}

{{- define "gram.target" -}}
{{- if .Values.worker.gpu.enabled }}cuda{{ else }}cpu{{ end }}
{{- end }}
