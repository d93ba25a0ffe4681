package catalog

import (
	"bytes"
	"compress/gzip"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/block"
)

func exampleIndex() *Index {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return &Index{Version: IndexVersion, Tenant: "t", Built: at, Blocks: []*block.Meta{{
		Version: 1, Tenant: "t", ID: idOf("a"), Start: at.Add(-time.Minute), End: at, Created: at, Spans: 7, Traces: 3, Errors: 1,
		Level: 2, DataBytes: 100, DataIndex: 60, ResourcesBytes: 9, Replaces: []block.ID{idOf("b"), idOf("c")}}}}
}

func TestIndexRoundTrip(t *testing.T) {
	want := exampleIndex()
	raw, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseIndex(raw)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v\n got %+v\nwant %+v", err, got, want)
	}
}

// Indexes that earlier builds wrote are read.
func TestGoldenIndex(t *testing.T) {
	const golden = "testdata/index-v1.json.gz"
	if *rewrite {
		raw, err := exampleIndex().Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseIndex(raw)
	if err != nil || !reflect.DeepEqual(got, exampleIndex()) {
		t.Fatalf("%v %+v", err, got)
	}
}

func FuzzParseIndex(f *testing.F) {
	raw, err := exampleIndex().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	for _, plain := range []string{`{"version":1,"tenant":"t","blocks":[null]}`, `{"version":2}`, `{"version":1,"tenant":"../x"}`, ``} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(plain)); err != nil {
			f.Fatal(err)
		}
		if err := z.Close(); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := ParseIndex(b)
		if err != nil {
			return
		}
		raw, err := x.Encode()
		if err != nil {
			t.Skip(err) // a year that JSON cannot say
		}
		again, err := ParseIndex(raw)
		if err != nil || len(again.Blocks) != len(x.Blocks) || len(Visible(x.Blocks)) > len(x.Blocks) {
			t.Fatal(err)
		}
	})
}

// Names of other objects are no blocks.
func TestSplitName(t *testing.T) {
	id := idOf("a")
	for name, want := range map[string]bool{
		"t/" + id + "/meta.json":         true,
		"t/" + id + "/data.parquet":      true,
		"t/" + id + "/other":             false,
		"t/" + id + "/x/meta.json":       false,
		"t/x/" + id + "/meta.json":       false,
		"t/" + id[:35] + "/meta.json":    false,
		"~index/" + id + "/meta.json":    false,
		"t/{" + id[1:35] + "}/meta.json": false,
		"meta.json":                      false,
	} {
		if _, _, _, ok := splitName(name); ok != want {
			t.Errorf("%s: %v", name, ok)
		}
	}
	if got, ok := indexTenant(IndexName("a.b")); !ok || got != "a.b" {
		t.Error(got)
	}
}
