package command

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/doctor"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
	"github.com/ringctl/ringctl/cmd/ringctl/monitor"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

var rewrite = flag.Bool("rewrite", false, "rewrite docs/schemas and testdata/help")

const schemas = "../../../docs/schemas"

// kinds is every kind of document and the type of its data.
var kinds = map[string]any{
	"RingStatusList":     []document.RingStatus{},
	"RingList":           []document.RingItem{},
	"MemberList":         []document.Member{},
	"GossipMemberList":   []client.Member{},
	"TokenOwnershipList": []document.TokenShare{},
	"PartitionList":      []document.Partition{},
	"PartitionOwnerList": []document.Owner{},
	"PlacementList":      []client.Placement{},
	"Event":              client.Event{},
	"EventList":          []client.Event{},
	"Plan":               &client.Plan{},
	"ChangeResult":       &client.Result{},
	"Version":            buildInfo{},
	"ContextList":        []contextItem{},
	"ViewReport":         document.ViewReport{},
	"DifferenceList":     []client.Difference{},
	"StopAnswer":         &client.StopAnswer{},
	"Simulation":         &client.Simulation{},
	"WaitResult":         waitResult{},
	"FindingList":        []doctor.Finding{},
	"RuleList":           []doctor.Rule{},
	"CheckList":          []monitor.Check{},
	"Explanation":        &document.Explanation{},
	"DrainStatus":        &client.DrainStatus{},
	"RolloutPlan":        []rolloutStep{},
	"RepairList":         []repairItem{},
	"StagedChanges":      []stageChange{},
}

// schema is the part of JSON Schema that is used.
type schema map[string]any

func schemaOf(t reflect.Type) schema {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return schema{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[client.Duration]():
		return schema{"type": "number", "description": "seconds"}
	case t.Implements(reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()):
		return schema{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Float64:
		return schema{"type": "number"}
	case reflect.Slice:
		return schema{"type": []string{"array", "null"}, "items": schemaOf(t.Elem())}
	case reflect.Map:
		return schema{"type": []string{"object", "null"}, "additionalProperties": schemaOf(t.Elem())}
	case reflect.Struct:
		props, required := schema{}, []string{}
		fields(t, props, &required)
		sort.Strings(required)
		return schema{"type": "object", "properties": props, "required": required}
	default:
		return schema{"type": "integer"}
	}
}

func fields(t reflect.Type, props schema, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			fields(f.Type, props, required)
			continue
		case !f.IsExported() || name == "-":
			continue
		}
		props[name] = schemaOf(f.Type)
		if !strings.Contains(options, "omit") {
			*required = append(*required, name)
		}
	}
}

func documentSchema(kind string, data any) schema {
	t := reflect.TypeOf(data)
	props := schema{
		"apiVersion": schema{"const": render.APIVersion},
		"kind":       schema{"const": kind},
		"view":       schemaOf(reflect.TypeFor[render.View]()),
	}
	key := "data"
	if t.Kind() == reflect.Slice {
		key = "items"
	}
	props[key] = schemaOf(t)
	return schema{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": kind, "type": "object", "properties": props,
		"required": []string{"apiVersion", key, "kind"}}
}

// TestSchemas compares docs/schemas with the types; fields may be added to a version, never taken away.
func TestSchemas(t *testing.T) {
	for kind, data := range kinds {
		raw, err := json.MarshalIndent(documentSchema(kind, data), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, '\n')
		file := filepath.Join(schemas, kind+".json")
		if *rewrite {
			if err := os.MkdirAll(schemas, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, raw, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if want, err := os.ReadFile(file); err != nil || string(want) != string(raw) {
			t.Errorf("%s differs from the type (go test ./cmd/ringctl/command -rewrite writes it): %v", file, err)
		}
	}
	files, err := filepath.Glob(filepath.Join(schemas, "*.json"))
	if err != nil || len(files) != len(kinds) {
		t.Errorf("%d schemas for %d kinds: %v", len(files), len(kinds), err)
	}
}

// TestEveryKindHasASchema looks for kinds in the source that the table does not have.
func TestEveryKindHasASchema(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(src), `Kind: "`)[1:] {
			kind, _, _ := strings.Cut(part, `"`)
			if _, ok := kinds[kind]; !ok && kind != "ring" && kind != "partition-ring" && kind != "opaque" && !strings.HasSuffix(file, "_test.go") {
				t.Errorf("%s: kind %s has no schema", file, kind)
			}
		}
	}
}
