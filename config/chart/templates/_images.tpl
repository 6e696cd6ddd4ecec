{{- /* The reference of an image of ours: (list $ "name"). */ -}}
{{- define "muon.image" -}}
{{- $image := (index . 0).Values.image -}}
{{- index $image.references (index . 1) | default (printf "%s/%s:%s" $image.prefix (index . 1) $image.tag) -}}
{{- end -}}
