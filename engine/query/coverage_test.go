package query_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/ringctl/ringctl/engine/traceql"
)

// answered are the queries of the stories that have an answer.
func answered(t *testing.T, glob string) []*traceql.Query {
	t.Helper()
	files, err := filepath.Glob(glob)
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	var out []*traceql.Query
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(data), "\n")
		for i, line := range lines[:len(lines)-1] {
			text, ok := strings.CutPrefix(line, "> ")
			if answer := lines[i+1]; !ok || strings.HasPrefix(answer, "= error") || answer == "= nothing" {
				continue
			}
			q, err := traceql.Parse(text)
			if err != nil {
				t.Fatalf("%s: %s: %v", name, text, err)
			}
			out = append(out, q)
		}
	}
	return out
}

// meet notes every node, operator, intrinsic, scope, type and function below v.
func meet(v reflect.Value, met map[string]bool) {
	switch x := v.Interface().(type) {
	case traceql.Op:
		met["operator "+fmt.Sprint(int(x))] = true
		return
	case traceql.Intrinsic:
		met["intrinsic "+fmt.Sprint(int(x))] = true
		return
	case traceql.Scope:
		met["scope "+fmt.Sprint(int(x))] = true
		return
	case traceql.Static:
		met["type "+x.Type.String()] = true
		return
	case traceql.AggregateFunc:
		met["aggregate "+x.String()] = true
		return
	case traceql.MetricFunc:
		met["function "+x.String()] = true
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			met["node "+strings.TrimLeft(v.Elem().Type().String(), "*")] = true
			meet(v.Elem(), met)
		}
	case reflect.Slice:
		for i := range v.Len() {
			meet(v.Index(i), met)
		}
	case reflect.Struct:
		if a, ok := v.Interface().(traceql.Attr); ok && a.Parent {
			met["parent"] = true
		}
		for i := range v.NumField() {
			meet(v.Field(i), met)
		}
	}
}

// TestStoriesCoverTheLanguage: whatever a query can be made of is in a story that
// finds something.
func TestStoriesCoverTheLanguage(t *testing.T) {
	search, metrics := map[string]bool{}, map[string]bool{}
	for _, q := range append(answered(t, "testdata/search/*.txt"), answered(t, "testdata/answers/*.txt")...) {
		meet(reflect.ValueOf(q), search)
	}
	for _, q := range answered(t, "testdata/metrics/*.txt") {
		meet(reflect.ValueOf(q), metrics)
	}
	var want []string
	for op := traceql.OpAdd; op <= traceql.OpUnionSibling; op++ {
		want = append(want, fmt.Sprintf("operator %d", op))
	}
	for i := traceql.Duration; i <= traceql.ParentSpan; i++ {
		want = append(want, fmt.Sprintf("intrinsic %d", i))
	}
	for s := traceql.ScopeNone; s <= traceql.ScopeInstrumentation; s++ {
		want = append(want, fmt.Sprintf("scope %d", s))
	}
	for typ := traceql.TypeNil; typ <= traceql.TypeKind; typ++ {
		want = append(want, "type "+typ.String())
	}
	for f := traceql.Count; f <= traceql.Avg; f++ {
		want = append(want, "aggregate "+f.String())
	}
	for _, node := range []string{"Filter", "SpansetOp", "Pipeline", "ScalarFilter", "Group", "Coalesce", "Select", "Aggregate", "ScalarOp", "Number",
		"PipelineScalar", "Binary", "Unary", "Lit", "Attr"} {
		want = append(want, "node traceql."+node)
	}
	for _, w := range append(want, "parent") {
		if !search[w] {
			t.Errorf("no story of a search has %s", w)
		}
	}
	want = []string{fmt.Sprintf("operator %d", traceql.OpTopK), fmt.Sprintf("operator %d", traceql.OpBottomK), "node traceql.MetricOp", "node traceql.MetricSecond"}
	for op := traceql.OpAdd; op <= traceql.OpGe; op++ {
		if op != traceql.OpMod && op != traceql.OpPow {
			want = append(want, fmt.Sprintf("operator %d", op))
		}
	}
	for f := traceql.Rate; f <= traceql.Compare; f++ {
		want = append(want, "function "+f.String())
	}
	for _, w := range want {
		if !metrics[w] {
			t.Errorf("no story of metrics has %s", w)
		}
	}
}
