package gen

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// The file holds what its truth says, twice the same, around now.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "load")
	truth, err := Create(path, 20_000, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path+"2", 20_000, 1); err != nil {
		t.Fatal(err)
	}
	a, _ := os.ReadFile(path)
	if b, _ := os.ReadFile(path + "2"); !bytes.Equal(a, b) {
		t.Error("the same seed gives other bytes")
	}
	base := time.Unix(1_700_000_000, 0)
	f, err := Open(path, base)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	spans, failed, attrs := int64(0), 0, 0
	traces := map[string]int{}
	for {
		r, err := f.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var m coltrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(r.Body, &m); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, rs := range m.ResourceSpans {
			if len(rs.Resource.Attributes) != 20 {
				t.Fatalf("resource with %d attributes", len(rs.Resource.Attributes))
			}
			for _, s := range rs.ScopeSpans[0].Spans {
				traces[string(s.TraceId)]++
				n++
				attrs += len(s.Attributes)
				for _, e := range s.Events {
					if at := time.Unix(0, int64(e.TimeUnixNano)); at.Before(base) || at.After(base.Add(Window+time.Hour)) {
						t.Fatalf("event at %s", at)
					}
					if e.Name == "exception" {
						failed++
					}
				}
				if s.StartTimeUnixNano < uint64(base.UnixNano()) || s.EndTimeUnixNano < s.StartTimeUnixNano {
					t.Fatalf("span from %d to %d", s.StartTimeUnixNano, s.EndTimeUnixNano)
				}
			}
		}
		if n != r.Spans {
			t.Fatalf("request of %d spans says %d", n, r.Spans)
		}
		spans += int64(n)
	}
	if spans != truth.Spans || int64(len(traces)) != truth.Traces {
		t.Errorf("%d spans in %d traces, the truth says %d in %d", spans, len(traces), truth.Spans, truth.Traces)
	}
	for name, v := range map[string][3]float64{
		"bytes a span":      {460, float64(truth.Bytes) / float64(spans), 500},
		"spans a trace":     {15, float64(spans) / float64(len(traces)), 19},
		"failed spans, %":   {0.7, 100 * float64(failed) / float64(spans), 1.5},
		"attributes a span": {6, float64(attrs) / float64(spans), 12},
	} {
		if v[1] < v[0] || v[1] > v[2] {
			t.Errorf("%s: %.2f, want %.1f to %.1f", name, v[1], v[0], v[2])
		}
	}
}

// A file that is damaged is an error, no panic and no endless memory.
func FuzzRead(f *testing.F) {
	path := filepath.Join(f.TempDir(), "load")
	if _, err := Create(path, 100, 2); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(p, time.Unix(0, 0))
		if err != nil {
			return
		}
		defer r.Close()
		for {
			if _, err := r.Next(); err != nil {
				return
			}
		}
	})
}
