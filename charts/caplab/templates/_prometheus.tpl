{{/* Prometheus' configuration: files/prometheus.yaml, without the exporters' jobs if there are no exporters. */}}
{{- define "caplab.prometheus" -}}
{{- $config := .Files.Get "files/prometheus.yaml" | fromYaml }}
{{- $ofMembers := list "caplab-exporter" }}
{{- range .Files.Get "files/engines.json" | fromJsonArray }}
{{- $ofMembers = append $ofMembers (print "caplab-" .name) }}
{{- end }}
{{- $jobs := list }}
{{- range $config.scrape_configs }}
{{- if or $.Values.exporters.enabled (not (has .job_name $ofMembers)) }}
{{- $jobs = append $jobs . }}
{{- end }}
{{- end }}
{{- toYaml (set $config "scrape_configs" $jobs) }}
{{- end }}
