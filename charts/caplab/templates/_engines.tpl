{{/* What is derived from the table of engines, files/engines.json: caplab/contract/engines.py writes it. All but words are JSON. */}}
{{- define "caplab.cluster-kinds" -}}
{{- $kinds := list }}
{{- range .Files.Get "files/engines.json" | fromJsonArray }}
{{- $kinds = append $kinds .kind }}
{{- end }}
{{- sortAlpha $kinds | toJson }}
{{- end }}
{{/* Kinds whose clusters have no primary, with a text between them: list $ TEXT. */}}
{{- define "caplab.kinds-without-primary" -}}
{{- $kinds := list }}
{{- range (index . 0).Files.Get "files/engines.json" | fromJsonArray }}
{{- if not .hasPrimary }}
{{- $kinds = append $kinds .kind }}
{{- end }}
{{- end }}
{{- join (index . 1) $kinds }}
{{- end }}
{{/* Resources of clusters, and others after them, each with a suffix: list $ SUFFIX OTHER... */}}
{{- define "caplab.resources" -}}
{{- $suffix := index . 1 }}
{{- $resources := list }}
{{- range (index . 0).Files.Get "files/engines.json" | fromJsonArray }}
{{- $resources = append $resources (print .plural $suffix) }}
{{- end }}
{{- range slice . 2 }}
{{- $resources = append $resources (print . $suffix) }}
{{- end }}
{{- toJson $resources }}
{{- end }}
{{/* References of the images of members (list $ "name") or of exporters (list $ "exporter"). */}}
{{- define "caplab.images" -}}
{{- $images := (index . 0).Values.images }}
{{- $field := index . 1 }}
{{- $references := list }}
{{- range (index . 0).Files.Get "files/engines.json" | fromJsonArray }}
{{- $references = append $references (get $images (get . $field)) }}
{{- end }}
{{- compact $references | toJson }}
{{- end }}
{{/* Ports at which clusters' pods export metrics, as a network policy has them. */}}
{{- define "caplab.metrics-ports" -}}
{{- $ports := list }}
{{- range .Files.Get "files/engines.json" | fromJsonArray }}
{{- $ports = append $ports (dict "protocol" "TCP" "port" (int .metricsPort)) }}
{{- end }}
{{- toJson $ports }}
{{- end }}
