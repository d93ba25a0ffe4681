package enginetest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// sent is one trace of an export, as it was sent.
type sent struct {
	tenant string
	id     string // 32 hex digits
	batch  int64  // number of its export
	spans  map[string][]byte
}

// traffic sends exports and remembers what was acknowledged.
type traffic struct {
	t      testing.TB
	to     func() string // OTLP/HTTP address
	tenant string
	run    string // value of the resource attribute "run"
	client *http.Client
	batch  *atomic.Int64 // number of the last export

	mu      sync.Mutex
	acked   []sent
	batches map[int64]int // spans of acknowledged exports
	doubt   map[int64]int // spans of exports that were not acknowledged
	lastErr error
}

func newTraffic(t testing.TB, to func() string, tenant, run string) *traffic {
	tr := &traffic{t: t, to: to, tenant: tenant, run: run, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
		batch: new(atomic.Int64), batches: map[int64]int{}, doubt: map[int64]int{}}
	t.Cleanup(tr.client.CloseIdleConnections)
	return tr
}

// flood sends from several workers until stop is closed.
func (tr *traffic) flood(workers int, stop <-chan struct{}) *sync.WaitGroup {
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(w), uint64(len(tr.run))))
			for {
				select {
				case <-stop:
					return
				default:
				}
				tr.send(tr.t.Context(), dice, 3, 5) //nolint:errcheck // send keeps it
			}
		})
	}
	return &wg
}

// send delivers one export with some traces and notes what became of it.
func (tr *traffic) send(ctx context.Context, dice *rand.Rand, traces, spans int) error {
	batch := tr.batch.Add(1)
	req, all := tr.export(dice, batch, traces, spans)
	err := tr.deliver(ctx, req)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if err != nil {
		tr.lastErr = err
		tr.doubt[batch] = traces * spans
		return err
	}
	tr.batches[batch] = traces * spans
	tr.acked = append(tr.acked, all...)
	return nil
}

// deliver is nil when the export was acknowledged whole.
func (tr *traffic) deliver(ctx context.Context, req *coltrace.ExportTraceServiceRequest) error {
	body, err := proto.Marshal(req)
	if err != nil {
		return err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+tr.to()+"/v1/traces", bytes.NewReader(body))
	if err != nil {
		return err
	}
	post.Header.Set("Content-Type", "application/x-protobuf")
	post.Header.Set("X-Scope-OrgID", tr.tenant)
	resp, err := tr.client.Do(post)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return &refusal{resp.StatusCode, resp.Header.Get("Retry-After"), string(answer)}
	case len(answer) != 0:
		return fmt.Errorf("partial success: %q", answer)
	}
	return nil
}

// refusal is an answer that is not 200.
type refusal struct {
	code  int
	retry string
	text  string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("HTTP %d (Retry-After %q): %s", r.code, r.retry, r.text)
}

// count is how many exports were acknowledged, and how many not.
func (tr *traffic) count() (acked, doubtful int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.batches), len(tr.doubt)
}

// awaitAcks waits until n more exports were acknowledged than before.
func (tr *traffic) awaitAcks(n int) {
	tr.t.Helper()
	from, _ := tr.count()
	for more := range n { // each within the time, however many they are
		until(tr.t, fmt.Sprintf("%d more acknowledged exports of run %s", n, tr.run), func() error {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			if have := len(tr.batches) - from; have <= more {
				return fmt.Errorf("%d so far, last error: %v", have, tr.lastErr)
			}
			return nil
		})
	}
}

// export makes an export of two resources, in which the spans of each trace
// lie scattered.
func (tr *traffic) export(dice *rand.Rand, batch int64, traces, spans int) (*coltrace.ExportTraceServiceRequest, []sent) {
	req := &coltrace.ExportTraceServiceRequest{}
	for _, service := range []string{"cart", "checkout"} {
		req.ResourceSpans = append(req.ResourceSpans, &otlp.ResourceSpans{
			Resource: &resource.Resource{DroppedAttributesCount: 1, Attributes: []*common.KeyValue{
				text("service.name", service), text("run", tr.run), number("batch", batch)}},
			SchemaUrl:  "https://example.org/resource",
			ScopeSpans: []*otlp.ScopeSpans{{Scope: &common.InstrumentationScope{Name: "enginetest", Version: "1.2.3"}, SchemaUrl: "https://example.org/scope"}},
		})
	}
	all := make([]sent, traces)
	for i := range all {
		id := make([]byte, 16)
		binary.BigEndian.PutUint64(id, dice.Uint64())
		binary.BigEndian.PutUint64(id[8:], uint64(batch)<<16|uint64(i)|1<<63)
		all[i] = sent{tenant: tr.tenant, id: hex.EncodeToString(id), batch: batch, spans: map[string][]byte{}}
		var parent []byte
		for n := range spans {
			s := span(dice, id, parent, n)
			parent = s.SpanId
			rs := req.ResourceSpans[n%2]
			rs.ScopeSpans[0].Spans = append(rs.ScopeSpans[0].Spans, s)
			all[i].spans[string(s.SpanId)] = canonical(rs, rs.ScopeSpans[0], s)
		}
	}
	return req, all
}

// span uses every field that OTLP has for a span.
func span(dice *rand.Rand, id, parent []byte, n int) *otlp.Span {
	spanID := binary.BigEndian.AppendUint64(nil, dice.Uint64()|1)
	start := uint64(time.Now().Add(-2*time.Second).UnixNano()) + uint64(n)
	s := &otlp.Span{TraceId: id, SpanId: spanID, ParentSpanId: parent, TraceState: "a=b", Flags: 0x101, Name: fmt.Sprintf("step %d", n),
		Kind: otlp.Span_SpanKind(1 + dice.IntN(5)), StartTimeUnixNano: start, EndTimeUnixNano: start + dice.Uint64N(1e9),
		Attributes:             []*common.KeyValue{text("text", "täxt"), number("number", dice.Int64N(600)), {Key: "flag", Value: &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}}}, {Key: "share", Value: &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: 0.25}}}},
		DroppedAttributesCount: 2, DroppedEventsCount: 3, DroppedLinksCount: 4}
	if n%3 == 1 {
		s.Events = []*otlp.Span_Event{{TimeUnixNano: start + 5, Name: "retry", Attributes: []*common.KeyValue{number("attempt", 2)}, DroppedAttributesCount: 1}}
		s.Links = []*otlp.Span_Link{{TraceId: id, SpanId: spanID, TraceState: "c=d", Flags: 1, Attributes: []*common.KeyValue{text("why", "batch")}}}
		s.Status = &otlp.Status{Code: otlp.Status_STATUS_CODE_ERROR, Message: "upstream timed out"}
		s.Attributes = append(s.Attributes,
			&common.KeyValue{Key: "list", Value: &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{{Value: &common.AnyValue_IntValue{IntValue: 1}}, {Value: &common.AnyValue_StringValue{StringValue: "two"}}}}}}},
			&common.KeyValue{Key: "raw", Value: &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte{0, 255}}}},
			&common.KeyValue{Key: "map", Value: &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: []*common.KeyValue{text("k", "v")}}}}})
	}
	return s
}

func text(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

func number(key string, value int64) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: value}}}
}

// canonical is a span with everything it inherits, as bytes to compare. The
// order of attributes means nothing in OTLP, and an empty resource or scope is
// none.
func canonical(rs *otlp.ResourceSpans, ss *otlp.ScopeSpans, s *otlp.Span) []byte {
	res, scope := rs.Resource, ss.Scope
	if res == nil {
		res = &resource.Resource{}
	}
	if scope == nil {
		scope = &common.InstrumentationScope{}
	}
	s = proto.CloneOf(s)
	slices.SortStableFunc(s.Attributes, func(a, b *common.KeyValue) int { return cmp.Compare(a.Key, b.Key) })
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(&otlp.ResourceSpans{Resource: res, SchemaUrl: rs.SchemaUrl,
		ScopeSpans: []*otlp.ScopeSpans{{Scope: scope, SchemaUrl: ss.SchemaUrl, Spans: []*otlp.Span{s}}}})
	if err != nil {
		return []byte(err.Error())
	}
	return b
}
