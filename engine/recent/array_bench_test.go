//go:build unix

package recent

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/trace"
)

// BenchmarkArrays asks a block and a head of 131,072 spans for an attribute that a
// tenth of them have: as a text, as an array of two texts, and as an array that no
// column takes (a number with a byte too many), which lies with the attributes that
// have none.
func BenchmarkArrays(b *testing.B) {
	const traces, spans = 1 << 13, 16
	for _, as := range []string{"text", "array", "overflow"} {
		h := newHead()
		for i := range traces {
			var tb trace.Builder
			tb.SetResource(&trace.Group{})
			tb.SetScope(&trace.Group{})
			for k := range spans {
				s := trace.Span{Name: []byte("op"), Start: uint64(i), End: uint64(i + k)}
				binary.BigEndian.PutUint64(s.TraceID[:], uint64(i)*0x9E3779B97F4A7C15+1)
				binary.BigEndian.PutUint64(s.SpanID[:], uint64(i*spans+k+1))
				if n := i*spans + k; n%10 == 0 {
					s.Attrs = []trace.Attr{{Key: []byte("tag"), Value: tagged(as, fmt.Appendf(nil, "tag-%d", n%1000/10))}}
				}
				tb.AddSpan(&s)
			}
			if _, _, err := h.add(tb.Append(nil), spans); err != nil {
				b.Fatal(err)
			}
		}
		cols := h.columns()
		dir := b.TempDir()
		sealed := sealed(b, dir, cols, block.WriterOptions{})
		file, err := os.Stat(filepath.Join(dir, "t", sealed.Name(), block.DataName))
		if err != nil {
			b.Fatal(err)
		}
		for place, src := range map[string]columnar.Source{"block": sealed, "head": one{newSegment(cols, 1, h.knownOf(cols))}} {
			b.Run(place+"/"+as, func(b *testing.B) {
				began := cpu()
				for b.Loop() {
					r, err := query.Search(b.Context(), []columnar.Source{src}, query.SearchRequest{Query: `{ span.tag = "tag-7" }`, Limit: 1 << 17})
					if err != nil || len(r.Traces) == 0 {
						b.Fatalf("%+v, %v", r, err)
					}
				}
				b.ReportMetric((cpu()-began).Seconds()*1e6/float64(b.N), "cpu-µs/op")
				b.ReportMetric(float64(file.Size())/(traces*spans), "B/span")
			})
		}
	}
}

// tagged is the value of a tag in one of the forms of BenchmarkArrays.
func tagged(as string, tag []byte) trace.Value {
	text, all := trace.StringValue(tag), trace.StringValue([]byte("all"))
	switch as {
	case "text":
		return text
	case "array":
		return trace.Value{Kind: trace.KindArray, Bytes: trace.AppendElement(trace.AppendElement(nil, &text), &all)}
	}
	body := append([]byte{1<<3 | 2, 0x80 | byte(len(tag)+2), 0, 1<<3 | 2, byte(len(tag))}, tag...)
	return trace.Value{Kind: trace.KindArray, Bytes: trace.AppendElement(body, &all)}
}
