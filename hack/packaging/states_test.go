package main

import (
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

// What kstatus, and with it Flux and `kubectl` tools built on it, makes of every status that we are known to give:
// the golden cases of operator/plan. `BLESS=1 go test` rewrites it.
const expectedFile = "testdata/states.yaml"

const argoFile = "config/argocd/argocd-cm.yaml"

// By the folder of the golden cases.
var kinds = map[string]string{"environment": "Environment", "package": "Package", "function": "Function", "http_trigger": "HTTPTrigger"}

func TestKstatusUnderstandsEveryStatus(t *testing.T) {
	found := map[string]string{}
	for name, each := range states(t) {
		result, err := status.Compute(&unstructured.Unstructured{Object: each})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		found[name] = result.Status.String()
		if expected := byConditions(each); expected != found[name] {
			t.Errorf("%s: kstatus says %s of what our conditions call %s", name, found[name], expected)
		}
	}
	text, err := yaml.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("BLESS") != "" {
		if err := os.WriteFile(expectedFile, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if expected, _ := os.ReadFile(expectedFile); string(expected) != string(text) {
		t.Errorf("not as in %s (BLESS=1 rewrites it):\n%s", expectedFile, text)
	}
	seen := map[string]bool{}
	for name, state := range found {
		seen[strings.Split(name, "/")[0]+" "+state] = true
	}
	for folder := range kinds {
		for _, state := range []string{"InProgress", "Failed", "Current", "Terminating"} {
			if !seen[folder+" "+state] {
				t.Errorf("no case of %s is %s", folder, state)
			}
		}
	}
}

func TestArgoCDSaysTheSame(t *testing.T) {
	settings := read(t, argoFile)[0]
	health := map[string]string{"InProgress": "Progressing", "Terminating": "Progressing", "Failed": "Degraded", "Current": "Healthy"}
	for name, each := range states(t) {
		script := settings.text("data", "resource.customizations.health.muon.dev_"+each["kind"].(string))
		if script == "" {
			t.Fatalf("%s has no health script of %s", argoFile, each["kind"])
		}
		found, message := run(t, script, each)
		if expected := health[byConditions(each)]; found != expected {
			t.Errorf("%s: %s (%s) instead of %s", name, found, message, expected)
		}
		if message == "" {
			t.Errorf("%s: %s without a word why", name, found)
		}
	}
}

// What the conditions mean, by the words of crds/src/condition.rs.
func byConditions(each object) string {
	generation, _ := each.at("metadata", "generation").(int64)
	observed, _ := each.at("status", "observedGeneration").(int64)
	switch {
	case each.at("metadata", "deletionTimestamp") != nil:
		return "Terminating"
	case observed != generation:
		return "InProgress"
	case condition(each, "Stalled") == "True":
		return "Failed"
	case condition(each, "Ready") == "True" && condition(each, "Reconciling") != "True":
		return "Current"
	}
	return "InProgress"
}

func condition(each object, kind string) string {
	conditions, _ := each.at("status", "conditions").([]any)
	for _, entry := range conditions {
		if fields := entry.(map[string]any); fields["type"] == kind {
			return fields["status"].(string)
		}
	}
	return ""
}

// Each case of operator/plan as the object that the API server has afterwards, and each kind new, changed and deleted.
func states(t *testing.T) map[string]object {
	t.Helper()
	found := map[string]object{}
	for folder, kind := range kinds {
		files, err := filepath.Glob(filepath.Join(root, "operator/plan/testdata", folder, "*.out.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no golden cases of %s: %v", folder, err)
		}
		sort.Strings(files)
		var ready object
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".out.yaml")
			each := of(t, kind, file)
			found[folder+"/"+name] = each
			if condition(each, "Ready") == "True" && condition(each, "Reconciling") != "True" {
				ready = each
			}
		}
		if ready == nil {
			t.Fatalf("no case of %s is Ready", folder)
		}
		// As the default of the CustomResourceDefinition has it.
		created := plain(t, ready)
		created["status"] = map[string]any{"observedGeneration": int64(-1)}
		found[folder+"/~created"] = created
		changed := plain(t, ready)
		changed["metadata"].(map[string]any)["generation"] = int64(2)
		found[folder+"/~changed"] = changed
		deleted := plain(t, ready)
		deleted["metadata"].(map[string]any)["deletionTimestamp"] = "2026-11-23T12:00:00Z"
		found[folder+"/~deleted"] = deleted
	}
	return found
}

// The object of one case.
func of(t *testing.T, kind, file string) object {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Report struct{ Status map[string]any }
	}
	if err := yaml.Unmarshal(text, &out); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	observed, _ := out.Report.Status["observedGeneration"].(float64)
	return plain(t, object{
		"apiVersion": "muon.dev/v1alpha1",
		"kind":       kind,
		"metadata":   map[string]any{"name": "it", "namespace": "shop", "generation": int64(observed)},
		"status":     out.Report.Status,
	})
}

// A copy in the types that clients of Kubernetes use: whole numbers are whole.
func plain(t *testing.T, each object) object {
	t.Helper()
	text, err := yaml.Marshal(each)
	if err != nil {
		t.Fatal(err)
	}
	var copied unstructured.Unstructured
	json, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := copied.UnmarshalJSON(json); err != nil {
		t.Fatal(err)
	}
	return copied.Object
}

// Runs a script as Argo CD does: `obj` is the object, what is returned has a status and a message. Nothing of the
// libraries that Argo CD closes is open.
func run(t *testing.T, script string, each object) (string, string) {
	t.Helper()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			t.Fatal(err)
		}
	}
	state.SetGlobal("obj", asLua(state, map[string]any(each)))
	if err := state.DoString(script); err != nil {
		t.Fatalf("the health script of %s: %v", each["kind"], err)
	}
	result, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("the health script of %s returns no table", each["kind"])
	}
	return lua.LVAsString(result.RawGetString("status")), lua.LVAsString(result.RawGetString("message"))
}

func asLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		table := state.NewTable()
		for key := range value {
			table.RawSetString(key, asLua(state, value[key]))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, each := range value {
			table.Append(asLua(state, each))
		}
		return table
	case string:
		return lua.LString(value)
	case bool:
		return lua.LBool(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	}
	return lua.LNil
}
