package block_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/trace"
)

var rewrite = flag.Bool("rewrite", false, "write golden files anew")

const goldenID = "01900000-0000-7000-8000-000000000001"

// Blocks of every version that was ever written still open and say the same. Only
// that of the newest version is written anew.
func TestGolden(t *testing.T) {
	for version := 1; version <= block.Version; version++ {
		root := filepath.Join("testdata", "golden", fmt.Sprint("v", version))
		if *rewrite && version == block.Version {
			if err := os.RemoveAll(root); err != nil {
				t.Fatal(err)
			}
			c, _ := exampleColumns(40)
			seal(t, root, goldenID, c, block.WriterOptions{GroupRows: 25})
		}
		b := open(t, root, goldenID)
		if b.Meta().Version != version {
			t.Errorf("the golden block in %s is of version %d", root, b.Meta().Version)
		}
		got := dump(t, b)
		file := root + ".txt"
		if *rewrite {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("the golden block of version %d reads differently:\n%s", version, got)
		}
	}
}

// dump prints a block as text.
func dump(t *testing.T, b *block.Block) []byte {
	t.Helper()
	var out bytes.Buffer
	m := b.Meta()
	fmt.Fprintf(&out, "block %s of tenant %s, version %d, level %d: %d spans, %d traces, %d errors, %s to %s\n", m.ID, m.Tenant, m.Version, m.Level,
		m.Spans, m.Traces, m.Errors, m.Start.Format("15:04:05.000000"), m.End.Format("15:04:05.000000"))
	for _, f := range m.Fields {
		fmt.Fprintf(&out, "field %s %s %s\n", f.Scope, f.Key, f.Type)
	}
	for i, s := range b.Segments() {
		info := s.Info()
		fmt.Fprintf(&out, "row group %d: %d rows, %d traces, %s to %s\n", i, info.Rows, info.Traces, info.MinID, info.MaxID)
		resources, err := s.Table(t.Context(), columnar.ScopeResource)
		if err != nil {
			t.Fatal(err)
		}
		rows := make([]uint32, info.Rows)
		for r := range rows {
			rows[r] = uint32(r)
		}
		err = s.Spans(t.Context(), rows, func(r columnar.RawSpan) error {
			var sp trace.Span
			if err := trace.DecodeSpan(r.Span, &sp); err != nil {
				return err
			}
			var attrs []string
			for _, a := range sp.Attrs {
				attrs = append(attrs, fmt.Sprintf("%s=%s:%q:%d", a.Key, a.Value.Kind, a.Value.Bytes, a.Value.Int))
			}
			fmt.Fprintf(&out, "%4d %s %s < %s start %d +%d %q kind %d status %d events %d resource %d (%d attributes) scope %d [%s]\n", r.Row, sp.TraceID, sp.SpanID, sp.ParentID, sp.Start,
				sp.End-sp.Start, sp.Name, sp.Kind, sp.StatusCode, len(sp.Events), r.Resource, len(resources.Attrs(int(r.Resource))), r.Scope, strings.Join(attrs, " "))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}
