package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// What the templates share.
const sharedTemplates = `{{- /* The reference of an image of ours: (list $ "name"). */ -}}
{{- define "muon.image" -}}
{{- $image := (index . 0).Values.image -}}
{{- index $image.references (index . 1) | default (printf "%s/%s:%s" $image.prefix (index . 1) $image.tag) -}}
{{- end -}}
`

const notes = `Muon is in the namespace muon-system:

  kubectl -n muon-system rollout status deployment/muon-operator deployment/muon-proxy

Next, Environments for a namespace with functions (config/environments), and the first function (README.md).
`

// The chart: every object is a template of its own, with its values in place of what people set.
func chart(root string, parts parts, from images) (map[string]string, error) {
	version, err := version(root)
	if err != nil {
		return nil, err
	}
	values := commonValues(from)
	files := map[string]string{
		"Chart.yaml":            chartFile(version),
		".helmignore":           "*.tgz\n",
		"templates/_images.tpl": sharedTemplates,
		"templates/NOTES.txt":   notes,
	}
	add := func(each object, condition string) error {
		template, settings, err := templateOf(each)
		if err != nil {
			return err
		}
		values = append(values, settings...)
		if condition != "" {
			template = fmt.Sprintf("{{- if %s }}\n%s{{- end }}\n", condition, template)
		}
		name := strings.ToLower(each.text("kind")) + "-" + strings.ReplaceAll(each.text("metadata", "name"), ":", "-")
		files["templates/"+name+".yaml"] = generated + template
		return nil
	}
	for _, each := range parts.base {
		condition := map[string]string{
			"Namespace":                "$.Values.namespace.create",
			"CustomResourceDefinition": "$.Values.crds.install",
		}[each.text("kind")]
		if err := add(each, condition); err != nil {
			return nil, err
		}
	}
	for _, name := range sortedKeys(parts.more) {
		values = append(values, setting{
			path:   []string{name, "enabled"},
			about:  fmt.Sprintf("Installs what config/components/%s adds.", name),
			value:  false,
			schema: schema{"type": "boolean"},
		})
		for _, each := range parts.more[name] {
			if err := add(each, fmt.Sprintf("(index $.Values %q).enabled", name)); err != nil {
				return nil, err
			}
		}
	}
	if files["values.yaml"], err = valuesFile(values); err != nil {
		return nil, err
	}
	if files["values.schema.json"], err = schemaFile(values); err != nil {
		return nil, err
	}
	return files, nil
}

// The version of the workspace is that of the chart and of what it installs.
func version(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "Cargo.toml"))
	if err != nil {
		return "", err
	}
	found := regexp.MustCompile(`(?s)\[workspace\.package\].*?\nversion = "([^"]+)"`).FindSubmatch(text)
	if found == nil {
		return "", fmt.Errorf("Cargo.toml says no version in [workspace.package]")
	}
	return string(found[1]), nil
}

func chartFile(version string) string {
	return generated + fmt.Sprintf(`apiVersion: v2
name: muon
description: Functions as a service on Kubernetes
type: application
version: %[1]s
appVersion: %[1]q
kubeVersion: ">=1.33.0-0"
`, version)
}

// A place in an object for text of a template, until the object is written as YAML.
type marks struct {
	texts []mark
}

type mark struct {
	// Takes the place of the whole line, with this indentation; otherwise of the mark alone.
	line bool
	text func(indent int) string
}

// An expression in the place of a value.
func (m *marks) value(expression string) string {
	return m.add(mark{text: func(int) string { return "{{ " + expression + " }}" }})
}

// Lines in the place of a line: `%[1]d` is the indentation of that line, as a number for nindent.
func (m *marks) lines(text string) string {
	return m.add(mark{line: true, text: func(indent int) string {
		return strings.ReplaceAll(text, "INDENT", fmt.Sprint(indent))
	}})
}

func (m *marks) add(each mark) string {
	m.texts = append(m.texts, each)
	return fmt.Sprintf("MARK-%d-", len(m.texts)-1)
}

var marked = regexp.MustCompile(`(?m)^( *)(.*?)["']?MARK-(\d+)-["']?(.*)$`)

// The template of one object, and the values in it.
func templateOf(each object) (string, []setting, error) {
	marks := &marks{}
	copied, err := deepCopy(each)
	if err != nil {
		return "", nil, err
	}
	values := workloadValues(copied, marks)
	if each.text("kind") == "CustomResourceDefinition" {
		keep := `{{- if $.Values.crds.keep }}{{ dict "annotations" (dict "helm.sh/resource-policy" "keep") | toYaml | nindent INDENT }}{{- end }}`
		copied.at("metadata").(map[string]any)["annotations"] = marks.lines(keep)
	}
	object := withImages(map[string]any(copied), func(name string) string {
		return marks.value(fmt.Sprintf("include \"muon.image\" (list $ %q)", name))
	})
	text, err := yaml.Marshal(object)
	if err != nil {
		return "", nil, err
	}
	// What looks like a template in the object itself is none.
	template := strings.ReplaceAll(string(text), "{{", `{{ "{{" }}`)
	template = marked.ReplaceAllStringFunc(template, func(line string) string {
		found := marked.FindStringSubmatch(line)
		var n int
		fmt.Sscan(found[3], &n)
		if mark := marks.texts[n]; mark.line {
			return mark.text(len(found[1]))
		}
		return found[1] + found[2] + marks.texts[n].text(0) + found[4]
	})
	return template, values, nil
}

func deepCopy(each object) (object, error) {
	text, err := yaml.Marshal(each)
	if err != nil {
		return nil, err
	}
	var copied object
	err = yaml.Unmarshal(text, &copied)
	return copied, err
}
