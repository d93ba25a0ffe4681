package main

import (
	"encoding/json"
	"path/filepath"
	"testing"
)

// The checkers of the gossip vectors must notice a wrong value: each case is changed in one place and must fail.
func TestWrongGossipVectorsFail(t *testing.T) {
	changes := map[string]func(c map[string]any){
		"kv_pair.json.gz":         func(c map[string]any) { c["accepted_by_receiver"] = c["accepted_by_receiver"] != true },
		"push_pull_state.json.gz": func(c map[string]any) { c["parse_error"] = c["parse_error"] != true },
		"kv_scenarios.json.gz":    func(c map[string]any) { step(c)["state_after"] = []any{map[string]any{"key": "x"}} },
		"node_meta.json":          func(c map[string]any) { c["zone"] = "elsewhere" },
		"transport_frames.json":   func(c map[string]any) { c["advertised_address"] = "192.0.2.1:1" },
		"wire_captures.json.gz":   func(c map[string]any) { message(c)["type_number"] = 99 },
		"codec_propagation_tracker.json": func(c map[string]any) {
			c["content"] = map[string]any{"7": map[string]any{"published_by": "x"}}
		},
		"merge_propagation_tracker.json.gz": func(c map[string]any) { c["result"] = map[string]any{} },
	}
	for name, change := range changes {
		f, err := readVectors(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		for n, raw := range f.Cases {
			var c map[string]any
			if err := json.Unmarshal(raw, &c); err != nil {
				t.Fatal(err)
			}
			change(c)
			wrong, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			if categories()[f.Category](wrong) == nil && c["kind"] != "invalid" {
				t.Errorf("%s %s: a wrong case passes", name, caseID(raw, n))
			}
		}
	}
}

func step(c map[string]any) map[string]any {
	return c["steps"].([]any)[0].(map[string]any)
}

func message(c map[string]any) map[string]any {
	return c["decoded"].(map[string]any)["message"].(map[string]any)
}
