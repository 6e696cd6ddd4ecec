package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const generated = "# Made from the kustomize bases in config/: hack/package rewrites it.\n"

// An object of Kubernetes.
type object map[string]any

func (o object) text(path ...string) string {
	text, _ := o.at(path...).(string)
	return text
}

func (o object) at(path ...string) any {
	var found any = map[string]any(o)
	for _, key := range path {
		fields, _ := found.(map[string]any)
		found = fields[key]
	}
	return found
}

// What tells it from all others.
func (o object) id() string {
	return strings.Join([]string{o.text("apiVersion"), o.text("kind"), o.text("metadata", "namespace"), o.text("metadata", "name")}, " ")
}

// Everything that can be installed.
type parts struct {
	base []object
	// By the name of an optional component, what it adds.
	more map[string][]object
}

// Renders config/default, and what each of config/components adds to it.
func rendered(root string) (parts, error) {
	found := parts{more: map[string][]object{}}
	var err error
	if found.base, err = kustomize(filepath.Join(root, "config", "default")); err != nil {
		return found, err
	}
	components, err := filepath.Glob(filepath.Join(root, "config", "components", "*", "kustomization.yaml"))
	if err != nil {
		return found, err
	}
	for _, file := range components {
		folder := filepath.Dir(file)
		all, err := kustomizeWith(filepath.Join(root, "config", "default"), folder)
		if err != nil {
			return found, err
		}
		name := filepath.Base(folder)
		if found.more[name], err = added(found.base, all); err != nil {
			return found, fmt.Errorf("%s: %w", folder, err)
		}
	}
	return found, nil
}

// What is new in `all`. A component that changes what is there could not be a switch of the chart.
func added(base, all []object) ([]object, error) {
	known := map[string]object{}
	for _, each := range base {
		known[each.id()] = each
	}
	var found []object
	for _, each := range all {
		switch before, there := known[each.id()]; {
		case !there:
			found = append(found, each)
		case !reflect.DeepEqual(before, each):
			return nil, fmt.Errorf("it changes %s; a component only adds objects", each.id())
		}
	}
	return found, nil
}

// Renders a base with a component on top.
func kustomizeWith(base, component string) ([]object, error) {
	folder, err := os.MkdirTemp("", "packaging-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	var paths []string
	for _, path := range []string{base, component} {
		relative, err := relativeTo(folder, path)
		if err != nil {
			return nil, err
		}
		paths = append(paths, relative)
	}
	text := fmt.Sprintf("resources: [%q]\ncomponents: [%q]\n", paths[0], paths[1])
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		return nil, err
	}
	return kustomize(folder)
}

// kustomize takes no absolute path, and follows links.
func relativeTo(folder, path string) (string, error) {
	from, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return "", err
	}
	if path, err = filepath.Abs(path); err != nil {
		return "", err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	return filepath.Rel(from, path)
}

// What `kubectl kustomize` prints: kubectl has the same library, and sorts as this does.
func kustomize(folder string) ([]object, error) {
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy
	options.LoadRestrictions = types.LoadRestrictionsRootOnly
	made, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, err
	}
	text, err := made.AsYaml()
	if err != nil {
		return nil, err
	}
	return parse(string(text))
}

var separator = regexp.MustCompile(`(?m)^---\s*$`)

// The objects of a YAML text.
func parse(text string) ([]object, error) {
	var found []object
	for _, document := range separator.Split(text, -1) {
		var each object
		if err := yaml.Unmarshal([]byte(document), &each); err != nil {
			return nil, err
		}
		if len(each) > 0 {
			found = append(found, each)
		}
	}
	return found, nil
}

// Where images come from.
type images struct {
	prefix, tag string
}

var baseImage = regexp.MustCompile(`^` + basePrefix + `/([a-z0-9-]+):` + baseTag + `$`)

// The object with every name of an image of ours replaced, wherever it stands.
func withImages(value any, replaced func(name string) string) any {
	switch value := value.(type) {
	case string:
		if found := baseImage.FindStringSubmatch(value); found != nil {
			return replaced(found[1])
		}
	case []any:
		list := make([]any, len(value))
		for n := range value {
			list[n] = withImages(value[n], replaced)
		}
		return list
	case map[string]any:
		fields := make(map[string]any, len(value))
		for key := range value {
			fields[key] = withImages(value[key], replaced)
		}
		return fields
	}
	return value
}

// Everything in one file.
func oneFile(objects []object, from images) (string, error) {
	text := []string{generated}
	for _, each := range objects {
		each := withImages(map[string]any(each), func(name string) string {
			return fmt.Sprintf("%s/%s:%s", from.prefix, name, from.tag)
		})
		document, err := yaml.Marshal(each)
		if err != nil {
			return "", err
		}
		text = append(text, string(document))
	}
	return strings.Join(text[:1], "") + strings.Join(text[1:], "---\n"), nil
}

func sortedKeys[V any](fields map[string]V) []string {
	keys := make([]string, 0, len(fields))
	for key := range fields {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
