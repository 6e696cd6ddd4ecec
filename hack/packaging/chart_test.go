package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

const root = "../.."

// The annotation that keeps the CustomResourceDefinitions when a release goes; kubectl would not know it.
const keepAnnotation = "helm.sh/resource-policy"

func TestWhatIsInTheTreeIsFresh(t *testing.T) {
	made, err := packages(root, images{basePrefix, baseTag})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range made {
		if found, _ := os.ReadFile(filepath.Join(root, "config", name)); string(found) != text {
			t.Errorf("config/%s is stale: run hack/package", name)
		}
	}
	chart := filepath.Join(root, "config", "chart")
	err = filepath.WalkDir(chart, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(filepath.Dir(chart), path)
			if _, there := made[name]; !there {
				t.Errorf("config/%s is no part of the chart: run hack/package", name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheOneFileHoldsWhatKustomizeRenders(t *testing.T) {
	same(t, base(t), read(t, "config/muon.yaml"))
}

func TestImagesOfTheOneFileFollowPrefixAndTag(t *testing.T) {
	text, err := oneFile(base(t), images{"registry.example.com/team", "7"})
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{"registry.example.com/team/muon:7", "registry.example.com/team/agent:7"} {
		if !strings.Contains(text, image) {
			t.Errorf("%s is missing", image)
		}
	}
	if strings.Contains(text, ":"+baseTag) {
		t.Error("an image of the bases is left")
	}
}

func TestTheChartRendersTheObjectsOfKustomize(t *testing.T) {
	made := template(t, nil)
	for _, each := range made {
		if each.text("kind") == "CustomResourceDefinition" {
			metadata := each.at("metadata").(map[string]any)
			if each.text("metadata", "annotations", keepAnnotation) != "keep" {
				t.Errorf("%s goes with the release", each.id())
			}
			delete(metadata, "annotations")
		}
	}
	same(t, base(t), made)
	without := template(t, map[string]any{"crds": map[string]any{"keep": false}})
	same(t, base(t), without)
}

func TestComponentsAreSwitches(t *testing.T) {
	parts, err := rendered(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, more := range parts.more {
		values := map[string]any{"crds": map[string]any{"keep": false}, name: map[string]any{"enabled": true}}
		same(t, append(base(t), more...), template(t, values))
	}
}

func TestValuesReachTheObjects(t *testing.T) {
	values := map[string]any{
		"image": map[string]any{
			"prefix": "registry.example.com/team", "tag": "7",
			"references":  map[string]any{"agent": "registry.example.com/agent@sha256:00"},
			"pullSecrets": []any{map[string]any{"name": "registry"}},
		},
		"namespace":     map[string]any{"create": false},
		"crds":          map[string]any{"install": false},
		"clusterDomain": "example.local",
		"operator": map[string]any{
			"replicas": 3, "flags": []any{"--builds-per-namespace=4"},
			"resources":    map[string]any{"limits": map[string]any{"memory": "1Gi"}},
			"nodeSelector": map[string]any{"disk": "fast"},
		},
		"proxy": map[string]any{"env": []any{map[string]any{"name": "MUON_RESERVE", "value": "2"}}},
		"store": map[string]any{"volume": map[string]any{"size": "9Gi", "storageClass": "fast"}},
	}
	made := byName(template(t, values))
	operator, proxy, store := made["Deployment muon-operator"], made["Deployment muon-proxy"], made["StatefulSet muon-store"]
	for _, each := range made {
		if kind := each.text("kind"); kind == "Namespace" || kind == "CustomResourceDefinition" {
			t.Errorf("%s is there", each.id())
		}
	}
	equal(t, operator.at("spec", "replicas"), float64(3))
	equal(t, container(operator)["args"], []any{"operator", "--builds-per-namespace=4"})
	equal(t, container(operator)["image"], "registry.example.com/team/muon:7")
	equal(t, object(container(operator)).at("resources", "limits"), map[string]any{"memory": "1Gi"})
	equal(t, variable(operator, "MUON_AGENT_IMAGE")["value"], "registry.example.com/agent@sha256:00")
	equal(t, variable(operator, "MUON_CLUSTER_DOMAIN")["value"], "example.local")
	pod := operator.at("spec", "template", "spec").(map[string]any)
	equal(t, pod["nodeSelector"], map[string]any{"disk": "fast"})
	equal(t, pod["imagePullSecrets"], []any{map[string]any{"name": "registry"}})
	equal(t, variable(proxy, "MUON_RESERVE")["value"], "2")
	claim := object(store.at("spec", "volumeClaimTemplates").([]any)[0].(map[string]any))
	equal(t, claim.at("spec", "resources", "requests", "storage"), "9Gi")
	equal(t, claim.text("spec", "storageClassName"), "fast")
}

func TestAStoreInABucketHasNoVolume(t *testing.T) {
	store := byName(template(t, map[string]any{"store": map[string]any{"s3": map[string]any{
		"bucket": "archives", "endpoint": "http://s3.example.com", "secret": "bucket",
	}}}))["StatefulSet muon-store"]
	equal(t, variable(store, "MUON_S3_BUCKET")["value"], "archives")
	equal(t, variable(store, "MUON_S3_ENDPOINT")["value"], "http://s3.example.com")
	equal(t, len(variable(store, "MUON_S3_REGION")), 0)
	reference := map[string]any{"secretKeyRef": map[string]any{"name": "bucket", "key": "AWS_SECRET_ACCESS_KEY"}}
	equal(t, variable(store, "AWS_SECRET_ACCESS_KEY")["valueFrom"], reference)
	equal(t, store.at("spec", "volumeClaimTemplates"), nil)
	volumes := store.at("spec", "template", "spec", "volumes").([]any)
	equal(t, volumes[len(volumes)-1], map[string]any{"name": "data", "emptyDir": map[string]any{}})
}

func TestTheSchemaRefusesWhatTheChartDoesNotKnow(t *testing.T) {
	for what, values := range map[string]map[string]any{
		"a misspelt name":   {"operator": map[string]any{"replica": 2}},
		"a word for number": {"operator": map[string]any{"replicas": "two"}},
		"no proxy":          {"proxy": map[string]any{"replicas": 0}},
		"a lone flag":       {"store": map[string]any{"flags": "--quota-bytes=1"}},
	} {
		if _, err := renderedChart(values); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	if _, err := renderedChart(map[string]any{"global": map[string]any{"a": "b"}}); err != nil {
		t.Error(err)
	}
}

// What `helm template` prints, as objects.
func template(t *testing.T, values map[string]any) []object {
	t.Helper()
	made, err := renderedChart(values)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func renderedChart(values map[string]any) ([]object, error) {
	chart, err := loader.Load(filepath.Join(root, "config", "chart"))
	if err != nil {
		return nil, err
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = chartutil.KubeVersion{Version: "v1.34.0", Major: "1", Minor: "34"}
	release := chartutil.ReleaseOptions{Name: "muon", Namespace: "default", IsInstall: true, Revision: 1}
	all, err := chartutil.ToRenderValues(chart, values, release, capabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return nil, err
	}
	var made []object
	for _, name := range sortedKeys(files) {
		if strings.HasSuffix(name, ".yaml") {
			found, err := parse(files[name])
			if err != nil {
				return nil, err
			}
			made = append(made, found...)
		}
	}
	return made, nil
}

func base(t *testing.T) []object {
	t.Helper()
	objects, err := kustomize(filepath.Join(root, "config", "default"))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func read(t *testing.T, path string) []object {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	objects, err := parse(string(text))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return objects
}

// Both hold the same objects, each equal to the other's.
func same(t *testing.T, expected, found []object) {
	t.Helper()
	there := map[string]object{}
	for _, each := range found {
		if _, twice := there[each.id()]; twice {
			t.Errorf("%s is there twice", each.id())
		}
		there[each.id()] = each
	}
	for _, each := range expected {
		switch other, ok := there[each.id()]; {
		case !ok:
			t.Errorf("%s is missing", each.id())
		case !reflect.DeepEqual(each, other):
			t.Errorf("%s differs:\n%v\n%v", each.id(), each, other)
		}
		delete(there, each.id())
	}
	for id := range there {
		t.Errorf("%s is not of kustomize", id)
	}
}

func byName(objects []object) map[string]object {
	found := map[string]object{}
	for _, each := range objects {
		found[each.text("kind")+" "+each.text("metadata", "name")] = each
	}
	return found
}

func container(each object) map[string]any {
	return each.at("spec", "template", "spec", "containers").([]any)[0].(map[string]any)
}

func variable(each object, name string) map[string]any {
	for _, entry := range container(each)["env"].([]any) {
		if variable := entry.(map[string]any); variable["name"] == name {
			return variable
		}
	}
	return nil
}

func equal(t *testing.T, found, expected any) {
	t.Helper()
	if !reflect.DeepEqual(found, expected) {
		t.Errorf("%v instead of %v", found, expected)
	}
}
