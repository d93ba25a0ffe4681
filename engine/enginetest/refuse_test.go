package enginetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/ringctl/ringctl/engine/ringapi"
)

// postOTLP sends a body to /v1/traces.
func postOTLP(t *testing.T, n *node, contentType string, body []byte) (int, string) {
	t.Helper()
	resp, err := http.Post("http://"+n.addr("otlp-http")+"/v1/traces", contentType, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, text.String()
}

func export(spans ...*otlp.Span) *coltrace.ExportTraceServiceRequest {
	return &coltrace.ExportTraceServiceRequest{ResourceSpans: []*otlp.ResourceSpans{{ScopeSpans: []*otlp.ScopeSpans{{Spans: spans}}}}}
}

// TestBadExportsAreRefused sends what is no OTLP, too much, or wrong in part.
func TestBadExportsAreRefused(t *testing.T) {
	n := single(t, t.TempDir(), "distributor: {receivers: {max_message_bytes: 100000}}")
	n.launch()
	n.ready()
	client := dialOTLP(t, n.addr("otlp-grpc"))
	for name, body := range map[string]string{"noise": "\xff\xff\xff\xff", "truncated": "\x0a\x7f\x0a"} {
		if code, text := postOTLP(t, n, "application/x-protobuf", []byte(body)); code != http.StatusBadRequest || !strings.Contains(text, "not an OTLP") {
			t.Errorf("%s over HTTP: %d %q", name, code, text)
		}
	}
	if code, text := postOTLP(t, n, "application/json", []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"xyz"}]}]}]}`)); code != http.StatusBadRequest || !strings.Contains(text, "traceId") {
		t.Errorf("JSON with a bad id: %d %q", code, text)
	}
	noise := &coltrace.ExportTraceServiceRequest{} // the field of the resource spans, cut short
	noise.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte{0x12, 0x7f, 0x01}))
	if _, err := client.Export(t.Context(), noise); status.Code(err) != codes.InvalidArgument {
		t.Errorf("noise over gRPC: %v", err)
	}
	large := export(&otlp.Span{TraceId: make([]byte, 16), Name: strings.Repeat("x", 200_000)})
	if _, err := client.Export(t.Context(), large); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("too large over gRPC: %v", err)
	}
	body, err := proto.Marshal(large)
	if err != nil {
		t.Fatal(err)
	}
	if code, text := postOTLP(t, n, "application/x-protobuf", body); code != http.StatusRequestEntityTooLarge || !strings.Contains(text, "100000") {
		t.Errorf("too large over HTTP: %d %q", code, text)
	}
}

// TestWrongIDsAreRejectedAlone keeps the good spans of an export with bad ones.
func TestWrongIDsAreRejectedAlone(t *testing.T) {
	n := single(t, t.TempDir(), calm)
	n.launch()
	n.ready()
	now := uint64(time.Now().UnixNano())
	good := &otlp.Span{TraceId: bytes.Repeat([]byte{7}, 16), SpanId: bytes.Repeat([]byte{8}, 8), Name: "good", StartTimeUnixNano: now, EndTimeUnixNano: now + 5}
	req := export(
		&otlp.Span{TraceId: []byte{1, 2, 3}, SpanId: good.SpanId, Name: "short trace id"}, good,
		&otlp.Span{TraceId: good.TraceId, SpanId: []byte{1}, Name: "short span id"},
		&otlp.Span{TraceId: make([]byte, 16), SpanId: good.SpanId, Name: "zero trace id"},
	)
	resp, err := dialOTLP(t, n.addr("otlp-grpc")).Export(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	p := resp.GetPartialSuccess()
	if p.GetRejectedSpans() != 3 || !strings.Contains(p.GetErrorMessage(), "trace id") || !strings.Contains(p.GetErrorMessage(), "span id") {
		t.Errorf("partial success = %v", p)
	}
	rs := req.ResourceSpans[0]
	want := sent{id: strings.Repeat("07", 16), spans: map[string][]byte{string(good.SpanId): canonical(rs, rs.ScopeSpans[0], good)}}
	if err := (api{base: n.http}).whole(want); err != nil {
		t.Error(err)
	}
}

// TestTracesOverALimit sends a tenant's traces to a process with limits: what fits
// is kept, and the sender is told of the rest in the way of its protocol.
func TestTracesOverALimit(t *testing.T) {
	overrides := filepath.Join(t.TempDir(), "overrides.yaml")
	if err := os.WriteFile(overrides, []byte("overrides: {single-tenant: {ingestion: {max_traces_per_user: 2}, global: {max_bytes_per_trace: 5000}}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A trace lives for as long as the test may take.
	n := single(t, t.TempDir(), "ingester: {max_block_duration: 1h, trace_idle_period: 1h}\noverrides: {per_tenant_override_config: "+overrides+"}\n")
	n.launch()
	n.ready()
	serial := byte(0)
	spans := func(id byte, name string) *otlp.Span {
		serial++
		now := uint64(time.Now().UnixNano())
		return &otlp.Span{TraceId: bytes.Repeat([]byte{id}, 16), SpanId: bytes.Repeat([]byte{serial}, 8), Name: name, StartTimeUnixNano: now, EndTimeUnixNano: now + 5}
	}
	client := dialOTLP(t, n.addr("otlp-grpc"))
	resp, err := client.Export(t.Context(), export(spans(1, "a"), spans(2, "b"), spans(3, "c"), spans(3, "d"), spans(2, strings.Repeat("x", 6000))))
	if err != nil {
		t.Fatal(err)
	}
	// Trace 2 is too large with its second span, so that trace 3 finds a place.
	if p := resp.GetPartialSuccess(); p.GetRejectedSpans() != 2 || !strings.Contains(p.GetErrorMessage(), "TRACE_TOO_LARGE: 2 spans of 1 traces such as 0202") {
		t.Errorf("partial success = %v", p)
	}
	_, err = client.Export(t.Context(), export(spans(4, "e")))
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "LIVE_TRACES_EXCEEDED") || len(status.Convert(err).Details()) != 1 {
		t.Errorf("a trace too many over gRPC: %v", err)
	}
	body, err := proto.Marshal(export(spans(5, "f")))
	if err != nil {
		t.Fatal(err)
	}
	if code, text := postOTLP(t, n, "application/x-protobuf", body); code != http.StatusTooManyRequests || !strings.Contains(text, "LIVE_TRACES_EXCEEDED") {
		t.Errorf("a trace too many over HTTP: %d %q", code, text)
	}
	if _, err := client.Export(t.Context(), export(spans(1, "g"))); err != nil {
		t.Errorf("a span of a live trace: %v", err)
	}
	_, metrics, err := n.get("/metrics")
	for _, want := range []string{`tempo_discarded_spans_total{reason="trace_too_large",tenant="single-tenant"} 2`, `tempo_discarded_spans_total{reason="live_traces_exceeded",tenant="single-tenant"} 2`} {
		if err != nil || !strings.Contains(metrics, want) {
			t.Errorf("the metrics have no %s (%v)", want, err)
		}
	}
	for id, want := range map[int]int{1: http.StatusOK, 2: http.StatusNotFound, 3: http.StatusOK, 4: http.StatusNotFound, 5: http.StatusNotFound} {
		if code, body, err := n.get(fmt.Sprintf("/api/traces/%032s", strings.Repeat(fmt.Sprintf("%02d", id), 16))); err != nil || code != want {
			t.Errorf("trace %d: %d %.100s, want %d (%v)", id, code, body, want, err)
		}
	}
}

// TestLargeExportArrivesWhole sends one trace that is nearly as large as an
// export may be, and kills the process that has it.
func TestLargeExportArrivesWhole(t *testing.T) {
	n := single(t, t.TempDir(), calm+"overrides: {defaults: {global: {max_bytes_per_trace: 50000000}}}\n")
	n.launch()
	n.ready()
	dice := rand.New(rand.NewPCG(1, 2))
	id := bytes.Repeat([]byte{3}, 16)
	var spans []*otlp.Span
	for i := range 10_000 {
		s := span(dice, id, nil, i)
		s.Attributes = append(s.Attributes, text("zz", strings.Repeat("x", 1300)))
		spans = append(spans, s)
	}
	req := export(spans...)
	if size := proto.Size(req); size < 14<<20 || size > 16<<20 {
		t.Fatalf("the export has %d bytes", size)
	}
	if _, err := dialOTLP(t, n.addr("otlp-grpc")).Export(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	want := sent{id: strings.Repeat("03", 16), spans: map[string][]byte{}}
	rs := req.ResourceSpans[0]
	for _, s := range spans {
		want.spans[string(s.SpanId)] = canonical(rs, rs.ScopeSpans[0], s)
	}
	a := api{base: n.http}
	if err := a.whole(want); err != nil {
		t.Error(err)
	}
	n.kill()
	n.launch()
	n.ready()
	if err := a.whole(want); err != nil {
		t.Errorf("after a crash: %v", err)
	}
}

// TestBadQuestionsSayWhatIsWrong asks for what is not there and what is no
// question.
func TestBadQuestionsSayWhatIsWrong(t *testing.T) {
	n := single(t, t.TempDir(), calm)
	n.launch()
	n.ready()
	for _, tt := range []struct {
		path string
		code int
		says string
	}{
		{"/api/traces/0102", 404, "not found"},
		{"/api/v2/traces/0102", 404, "not found"},
		{"/api/traces/xyz", 400, "xyz"},
		{"/api/v2/traces/" + strings.Repeat("1", 33), 400, ""},
		{"/api/search?q=" + url.QueryEscape(`{ span.a == 1 }`), 400, "{ span.a == 1 }\n         ^"},
		{"/api/search?q=" + url.QueryEscape(`{ .a = `), 400, "line 1, col 8"},
		{"/api/search?limit=-1", 400, "limit"},
		{"/api/search?start=5&end=1", 400, "after start"},
		{"/api/metrics/query_range?q=" + url.QueryEscape(`{ } | rte()`), 400, "^"},
		{"/api/metrics/query_range?q=" + url.QueryEscape(`{ } | rate()`) + "&step=no", 400, "step"},
		{"/api/metrics/query", 400, "q is missing"},
		{"/api/nothing", 404, ""},
	} {
		code, body, err := n.get(tt.path)
		if err != nil || code != tt.code || !strings.Contains(body, tt.says) {
			t.Errorf("%s: %d %q %v, want %d with %q", tt.path, code, body, err, tt.code, tt.says)
		}
	}
}

// fails starts a process that must end by itself, and returns what it wrote.
func fails(t *testing.T, code int, args ...string) string {
	t.Helper()
	n := newNode(t, "failing", append(append([]string{"--data.dir", filepath.Join(t.TempDir(), "data")}, anyPort...), args...)...)
	n.exec()
	if got := n.wait(); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	return n.logText()
}

// TestStartSaysWhatIsWrong starts tempod in ways that cannot work.
func TestStartSaysWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(config, []byte("ingester:\n  max_block_duraton: 1s\nserver: {http_listen_port: many}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	notAFolder := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notAFolder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		code int
		args []string
		says []string
	}{
		{"HTTP port in use", 1, []string{"--server.http-listen-port", port}, []string{"server.http_listen_port", "address already in use", "hint: another program has this port"}},
		{"OTLP port in use", 1, []string{"--otlp.grpc-endpoint", "127.0.0.1:" + port}, []string{"otlp gRPC", port, "hint:"}},
		{"gossip port in use", 1, []string{"--memberlist.bind-port", port, "--memberlist.bind-addr", "127.0.0.1"}, []string{port, "hint:"}},
		{"unknown keys", 2, []string{"--config.file", config}, []string{"line 2: unknown key ingester.max_block_duraton; did you mean max_block_duration?", "line 3"}},
		{"no config file", 2, []string{"--config.file", config + ".no"}, []string{"no such file"}},
		{"unknown flag", 2, []string{"--no-such-flag"}, []string{"no-such-flag"}},
		{"unknown target", 2, []string{"--target", "ingestr"}, []string{`target is "ingestr"`, "ingester"}},
		{"data folder is a file", 1, []string{"--data.dir", notAFolder}, []string{"not a directory"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := fails(t, tt.code, tt.args...)
			for _, s := range tt.says {
				if !strings.Contains(text, s) {
					t.Errorf("missing %q in:\n%s", s, text)
				}
			}
			if strings.Contains(text, "goroutine ") {
				t.Errorf("it panics:\n%s", text)
			}
		})
	}
}

// TestOtherClusterLabelDoesNotJoin starts a process that means another cluster.
func TestOtherClusterLabelDoesNotJoin(t *testing.T) {
	c := newCluster(t)
	first := c.add("ingester", "ingester-a", "a")
	first.ready()
	stranger := c.add("ingester", "ingester-b", "b", "--memberlist.cluster-label", "other")
	until(t, "somebody says that the label is wrong", func() error {
		if text := first.logText() + stranger.logText(); !strings.Contains(text, "label") {
			return fmt.Errorf("nobody does:\n%s", text)
		}
		return nil
	})
	for _, n := range c.nodes {
		var r ringapi.RingPage
		if err := page(n, "/ingester/ring", &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Shards) > 1 {
			t.Errorf("%s sees %d members", n.name, len(r.Shards))
		}
	}

}
