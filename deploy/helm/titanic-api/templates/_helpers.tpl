{{/* Labels of every object, as pairs inside { }. Never of a selector or a pod. */}}
{{- define "titanic-api.labels" -}}
app.kubernetes.io/part-of: titanic, {{ range $name, $value := .Values.labels }}{{ $name | quote }}: {{ $value | quote }}, {{ end }}
{{- end }}

{{- define "titanic-api.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{ .Values.image.repository }}{{ hasPrefix "sha256:" $tag | ternary "@" ":" }}{{ $tag }}
{{- end }}

{{/* What the hosts say of themselves in traces and metrics. For `environment`. */}}
{{- define "titanic-api.version" -}}
{{ .Values.image.tag | default .Chart.AppVersion | trimPrefix "sha256:" }}
{{- end }}

{{/* Who starts the pods, and so what is scaled. */}}
{{- define "titanic-api.scaleTarget" -}}
{{- if .Values.canary.enabled -}}
{ apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: titanic-api }
{{- else -}}
{ apiVersion: apps/v1, kind: Deployment, name: titanic-api }
{{- end }}
{{- end }}

{{/* Every ConfigMap: its name without the hash, and its data. */}}
{{- define "titanic-api.configMaps" -}}
titanic-api:
  bulkhead.yaml: {{ .Values.configuration.text | default (.Files.Get (printf "files/%s.yaml" .Values.configuration.file)) | toJson }}
titanic-environment:
  {{- range $name, $value := .Values.environment }}
  {{ $name }}: {{ tpl $value $ | toJson }}
  {{- end }}
{{- if .Values.redisTls.enabled }}
titanic-redis-tls:
  haproxy.cfg: {{ .Files.Get "files/haproxy.cfg" | toJson }}
{{- end }}
{{- if .Values.backup.enabled }}
titanic-backup:
  {{- range $name := list "common.sh" "backup.sh" "restore-check.sh" }}
  {{ $name }}: {{ $.Files.Get (printf "files/%s" $name) | toJson }}
  {{- end }}
{{- end }}
{{- end }}

{{/* (list . NAME): the name of one with a hash of its data, as kustomize makes it (it looks for the name in the wrong place and hashes "").
     Other data is another name, and so a rollout. */}}
{{- define "titanic-api.configMap" -}}
{{- $name := index . 1 -}}
{{- $data := get (include "titanic-api.configMaps" (index . 0) | fromYaml) $name -}}
{{- $hash := dict "kind" "ConfigMap" "name" "" "data" $data | toJson | sha256sum | trunc 10 -}}
{{ $name }}-{{ $hash | replace "0" "g" | replace "1" "h" | replace "3" "k" | replace "a" "m" | replace "e" "t" }}
{{- end }}

{{/* A pod's securityContext: pairs inside { }, of a user. */}}
{{- define "titanic-api.user" -}}
runAsNonRoot: true, runAsUser: {{ . }}, runAsGroup: {{ . }}, fsGroup: {{ . }}, seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* A container's securityContext. */}}
{{- define "titanic-api.confined" -}}
{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: [ALL] } }
{{- end }}
