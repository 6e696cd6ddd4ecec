package main

import "fmt"

// What people set of each Deployment and StatefulSet; its values are named for the component that it is.
func workloadValues(each object, marks *marks) []setting {
	kind := each.text("kind")
	if kind != "Deployment" && kind != "StatefulSet" && kind != "DaemonSet" {
		return nil
	}
	name := each.text("metadata", "labels", "app.kubernetes.io/component")
	w := workload{name: name, marks: marks}
	spec := each.at("spec").(map[string]any)
	if kind == "Deployment" {
		w.replaces(spec, "replicas", "replicas", "How many pods.", schema{"type": "integer", "minimum": 1})
	}
	pod := each.at("spec", "template", "spec").(map[string]any)
	container := pod["containers"].([]any)[0].(map[string]any)
	w.container(container)
	w.pod(pod)
	if kind == "StatefulSet" {
		w.volume(spec, pod, container)
	}
	return w.values
}

type workload struct {
	name   string
	marks  *marks
	values []setting
}

func (w *workload) ref(names ...string) string {
	ref := "$.Values." + w.name
	for _, name := range names {
		ref += "." + name
	}
	return ref
}

func (w *workload) add(about string, value any, schema schema, path ...string) {
	w.values = append(w.values, setting{append([]string{w.name}, path...), about, value, schema})
}

// A number takes its default from the base.
func (w *workload) replaces(fields map[string]any, key, value, about string, schema schema) {
	w.add(about, fields[key], schema, value)
	fields[key] = w.marks.value(w.ref(value) + " | int")
}

func (w *workload) container(container map[string]any) {
	w.add("Requests and limits.", container["resources"], schema{"type": "object"}, "resources")
	container["resources"] = w.marks.lines("{{- dict \"resources\" " + w.ref("resources") + " | toYaml | nindent INDENT }}")

	command := fmt.Sprint(container["args"].([]any)[0])
	w.add(fmt.Sprintf("More flags, e.g. --name=value; `muon %s --help` tells them.", command), []any{}, texts, "flags")
	container["args"] = append(container["args"].([]any), w.list("flags"))

	env := container["env"].([]any)
	for _, each := range env {
		variable := each.(map[string]any)
		if variable["name"] == "MUON_CLUSTER_DOMAIN" {
			variable["value"] = w.marks.value("$.Values.clusterDomain | quote")
		}
	}
	w.add("More variables, in the form of a container's env.", []any{}, schema{"type": "array", "items": schema{"type": "object"}}, "env")
	container["env"] = append(env, w.list("env"))
}

// The items of a value, behind those of a list.
func (w *workload) list(name string) string {
	return w.marks.lines("{{- with " + w.ref(name) + " }}{{ toYaml . | nindent INDENT }}{{- end }}")
}

func (w *workload) pod(pod map[string]any) {
	for _, each := range []struct {
		name, about string
		value       any
		schema      schema
	}{
		{"nodeSelector", "Labels of the nodes that it may run on.", map[string]any{}, textMap},
		{"tolerations", "Taints that it tolerates.", []any{}, schema{"type": "array", "items": schema{"type": "object"}}},
	} {
		w.add(each.about, each.value, each.schema, each.name)
		w.optional(pod, each.name, w.ref(each.name))
	}
	w.optional(pod, "imagePullSecrets", "$.Values.image.pullSecrets")
}

// A field that is there if its value is not empty.
func (w *workload) optional(pod map[string]any, field, ref string) {
	pod[field] = w.marks.lines(fmt.Sprintf("{{- with %s }}{{ dict %q . | toYaml | nindent INDENT }}{{- end }}", ref, field))
}

// The variables of a store in a bucket.
const s3Variables = `{{- with $.Values.store.s3 }}
{{- if .bucket }}
{{- $variables := list (dict "name" "MUON_S3_BUCKET" "value" .bucket) }}
{{- range $name, $value := dict "MUON_S3_ENDPOINT" .endpoint "MUON_S3_REGION" .region "MUON_S3_PREFIX" .prefix }}
{{- if $value }}{{ $variables = append $variables (dict "name" $name "value" $value) }}{{ end }}
{{- end }}
{{- if .secret }}
{{- range $name := list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
{{- $variables = append $variables (dict "name" $name "valueFrom" (dict "secretKeyRef" (dict "name" $.Values.store.s3.secret "key" $name))) }}
{{- end }}
{{- end }}
{{- toYaml $variables | nindent INDENT }}
{{- end }}
{{- end }}`

// The volume of what keeps something; the store may have a bucket instead, and then no volume that lasts.
func (w *workload) volume(spec, pod, container map[string]any) {
	claim := spec["volumeClaimTemplates"].([]any)[0].(map[string]any)
	claimed := claim["spec"].(map[string]any)
	requests := claimed["resources"].(map[string]any)["requests"].(map[string]any)
	w.add("Size of its volume; for one that is there already, what its StorageClass allows.", requests["storage"], text, "volume", "size")
	requests["storage"] = w.marks.value(w.ref("volume", "size"))
	w.add("Its StorageClass; empty: the cluster's default.", "", text, "volume", "storageClass")
	claimed["storageClassName"] = w.marks.lines("{{- with " + w.ref("volume", "storageClass") + " }}{{ dict \"storageClassName\" . | toYaml | nindent INDENT }}{{- end }}")
	if w.name != "store" {
		return
	}
	w.add("The S3 bucket that holds the archives instead of the volume; empty: the volume. An installed store that changes over is deleted first (kubectl -n muon-system delete statefulset muon-store).", "", text, "s3", "bucket")
	w.add("URL of the S3 server, if it is not the cloud's.", "", text, "s3", "endpoint")
	w.add("Region of the bucket.", "", text, "s3", "region")
	w.add("What the names of all its objects begin with.", "", text, "s3", "prefix")
	w.add("A Secret in muon-system with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.", "", text, "s3", "secret")
	container["env"] = append(container["env"].([]any), w.marks.lines(s3Variables))
	pod["volumes"] = append(pod["volumes"].([]any), w.marks.lines(fmt.Sprintf(
		`{{- if %s }}{{ list (dict "name" %q "emptyDir" dict) | toYaml | nindent INDENT }}{{- end }}`,
		w.ref("s3", "bucket"), claim["metadata"].(map[string]any)["name"])))
	templates := w.marks.lines("{{- if not " + w.ref("s3", "bucket") + " }}")
	end := w.marks.lines("{{- end }}")
	// Keys are written in their order: these two enclose the claim.
	spec["volumeClaimTemplate"], spec["volumeClaimTemplatesEnd"] = templates, end
}
