package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

const schemas = root + "/crds/generated/schemas/"

func TestEverySampleIsOfItsSchema(t *testing.T) {
	any := compiled(t, "muon.json")
	count := 0
	for _, pattern := range []string{"samples/*.yaml", "samples/*/*.yaml", "config/environments/*/environment.yaml"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no file is %s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			objects, err := parse(string(text))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			for _, each := range objects {
				if !strings.HasPrefix(each.text("apiVersion"), "muon.dev/") {
					continue
				}
				count++
				for _, schema := range []*jsonschema.Schema{any, compiled(t, strings.ToLower(each.text("kind"))+".json")} {
					if err := schema.Validate(map[string]interface{}(each)); err != nil {
						t.Errorf("%s: %v", file, err)
					}
				}
			}
		}
	}
	if count < 20 {
		t.Errorf("only %d objects were looked at", count)
	}
}

func TestTheSchemaSeesMistakes(t *testing.T) {
	any := compiled(t, "muon.json")
	for what, text := range map[string]string{
		"a misspelt field":  "{apiVersion: muon.dev/v1alpha1, kind: Function, metadata: {name: a}, spec: {environment: python, package: a, timeout: 3}}",
		"a word for number": "{apiVersion: muon.dev/v1alpha1, kind: Function, metadata: {name: a}, spec: {environment: python, package: a, concurrency: ten}}",
		"no environment":    "{apiVersion: muon.dev/v1alpha1, kind: Function, metadata: {name: a}, spec: {package: a}}",
		"an unknown kind":   "{apiVersion: muon.dev/v1alpha1, kind: Lambda, metadata: {name: a}, spec: {}}",
		"an unknown method": "{apiVersion: muon.dev/v1alpha1, kind: HTTPTrigger, metadata: {name: a}, spec: {path: /, methods: [FETCH], function: {name: a}}}",
		"another version":   "{apiVersion: muon.dev/v9, kind: Function, metadata: {name: a}, spec: {environment: python, package: a}}",
	} {
		var each map[string]interface{}
		if err := yaml.Unmarshal([]byte(text), &each); err != nil {
			t.Fatal(err)
		}
		if any.Validate(each) == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

func compiled(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(schemas + name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}
