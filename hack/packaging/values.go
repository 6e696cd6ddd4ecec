package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

type schema = map[string]any

var (
	text    = schema{"type": "string"}
	texts   = schema{"type": "array", "items": text}
	textMap = schema{"type": "object", "additionalProperties": text}
)

// One value of the chart: where it stands, what it means, its default and what it may be.
type setting struct {
	path   []string
	about  string
	value  any
	schema schema
}

// The values that belong to no part alone.
func commonValues(from images) []setting {
	return []setting{
		{[]string{"image", "prefix"}, "Where the images are: PREFIX/muon and PREFIX/agent.", from.prefix, text},
		{[]string{"image", "tag"}, "Their tag.", from.tag, text},
		{[]string{"image", "references"}, "Whole references instead, by name, e.g. {muon: registry.example.com/muon@sha256:…}.", map[string]any{}, textMap},
		{[]string{"image", "pullSecrets"}, "Secrets of muon-system to pull them with, e.g. [{name: registry}].", []any{}, schema{"type": "array", "items": schema{"type": "object", "required": []any{"name"}, "properties": schema{"name": text}}}},
		{[]string{"namespace", "create"}, "Makes the namespace muon-system. Everything is in it, whatever the release's own namespace is.", true, schema{"type": "boolean"}},
		{[]string{"crds", "install"}, "Installs and upgrades the four CustomResourceDefinitions.", true, schema{"type": "boolean"}},
		{[]string{"crds", "keep"}, "Leaves them, and with them all functions, when the release is uninstalled.", true, schema{"type": "boolean"}},
		{[]string{"clusterDomain"}, "The domain of the cluster's Services.", "cluster.local", text},
	}
}

// Values in a tree, in the order in which they were told.
type branch struct {
	names []string
	below map[string]*branch
	leaf  *setting
}

func tree(settings []setting) *branch {
	top := &branch{below: map[string]*branch{}}
	for n := range settings {
		at := top
		for _, name := range settings[n].path {
			if at.below[name] == nil {
				at.below[name] = &branch{below: map[string]*branch{}}
				at.names = append(at.names, name)
			}
			at = at.below[name]
		}
		at.leaf = &settings[n]
	}
	return top
}

func valuesFile(settings []setting) (string, error) {
	lines := []string{strings.TrimSuffix(generated, "\n")}
	var write func(at *branch, indent string) error
	write = func(at *branch, indent string) error {
		for _, name := range at.names {
			below := at.below[name]
			if below.leaf == nil {
				lines = append(lines, indent+name+":")
				if err := write(below, indent+"  "); err != nil {
					return err
				}
				continue
			}
			yaml, err := yaml.Marshal(map[string]any{name: below.leaf.value})
			if err != nil {
				return err
			}
			lines = append(lines, indent+"# "+below.leaf.about)
			for _, line := range strings.Split(strings.TrimSpace(string(yaml)), "\n") {
				lines = append(lines, indent+line)
			}
		}
		return nil
	}
	err := write(tree(settings), "")
	return strings.Join(lines, "\n") + "\n", err
}

func schemaFile(settings []setting) (string, error) {
	var of func(at *branch) schema
	of = func(at *branch) schema {
		if at.leaf != nil {
			described := schema{"description": at.leaf.about}
			for key, value := range at.leaf.schema {
				described[key] = value
			}
			return described
		}
		properties := schema{}
		for _, name := range at.names {
			properties[name] = of(at.below[name])
		}
		return schema{"type": "object", "additionalProperties": false, "properties": properties}
	}
	whole := of(tree(settings))
	whole["$schema"] = "http://json-schema.org/draft-07/schema#"
	whole["title"] = "Values of the chart muon"
	// What Helm hands on where this chart is part of another.
	whole["properties"].(schema)["global"] = schema{"type": "object", "description": "Values of the chart around this one; not used."}
	text, err := json.MarshalIndent(whole, "", "  ")
	if err != nil {
		return "", fmt.Errorf("the schema of the values: %w", err)
	}
	return string(text) + "\n", nil
}
