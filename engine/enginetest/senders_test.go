package enginetest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
)

// recorder is an OTLP server that remembers spans, and passes them on if it is
// told where to.
type recorder struct {
	coltrace.UnimplementedTraceServiceServer
	addr string
	next coltrace.TraceServiceClient

	mu     sync.Mutex
	traces map[string]sent
}

func record(t *testing.T, next coltrace.TraceServiceClient) *recorder {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{addr: l.Addr().String(), next: next, traces: map[string]sent{}}
	srv := grpc.NewServer()
	coltrace.RegisterTraceServiceServer(srv, r)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := <-served; err != nil {
			t.Errorf("recorder: %v", err)
		}
	})
	return r
}

func (r *recorder) Export(ctx context.Context, req *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	for _, rs := range req.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				id := hex.EncodeToString(s.TraceId)
				if _, ok := r.traces[id]; !ok {
					r.traces[id] = sent{id: id, spans: map[string][]byte{}}
				}
				r.traces[id].spans[string(s.SpanId)] = canonical(rs, ss, s)
			}
		}
	}
	r.mu.Unlock()
	if r.next == nil {
		return &coltrace.ExportTraceServiceResponse{}, nil
	}
	return r.next.Export(ctx, req)
}

func (r *recorder) all() (out []sent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.traces {
		out = append(out, s)
	}
	return out
}

func dialOTLP(t *testing.T, addr string) coltrace.TraceServiceClient {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallSendMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return coltrace.NewTraceServiceClient(cc)
}

// TestSDKSpansArriveWhole sends with the OpenTelemetry SDK, with and without
// compression, and compares with what the SDK sent elsewhere at the same time.
func TestSDKSpansArriveWhole(t *testing.T) {
	n := single(t, t.TempDir(), calm)
	n.launch()
	n.ready()
	kept := record(t, nil)
	res := resource.NewSchemaless(attribute.String("service.name", "shop"), attribute.Int("shard", 3), attribute.StringSlice("zones", []string{"a", "b"}))
	opts := []sdktrace.TracerProviderOption{sdktrace.WithResource(res)}
	for addr, compressor := range map[string]string{n.addr("otlp-grpc"): "gzip", kept.addr: "none"} {
		o := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(addr), otlptracegrpc.WithInsecure(), otlptracegrpc.WithTimeout(time.Minute)}
		if compressor == "gzip" {
			o = append(o, otlptracegrpc.WithCompressor(compressor))
		}
		exp, err := otlptracegrpc.New(t.Context(), o...)
		if err != nil {
			t.Fatal(err)
		}
		opts = append(opts, sdktrace.WithBatcher(exp, sdktrace.WithMaxQueueSize(8192), sdktrace.WithBlocking(), sdktrace.WithExportTimeout(time.Minute)))
	}
	tp := sdktrace.NewTracerProvider(opts...)
	tracer := tp.Tracer("shop/checkout", oteltrace.WithInstrumentationVersion("0.1"), oteltrace.WithSchemaURL("https://opentelemetry.io/schemas/1.26.0"))
	for i := range 200 {
		ctx, root := tracer.Start(t.Context(), "GET /checkout", oteltrace.WithSpanKind(oteltrace.SpanKindServer), oteltrace.WithAttributes(attribute.Int("order", i)))
		for range 4 {
			_, child := tracer.Start(ctx, "charge card", oteltrace.WithSpanKind(oteltrace.SpanKindClient), oteltrace.WithLinks(oteltrace.LinkFromContext(ctx, attribute.Bool("again", true))),
				oteltrace.WithAttributes(attribute.Float64("amount", 12.5), attribute.Int64Slice("parts", []int64{1, 2}), attribute.String("city", "Zürich")))
			child.AddEvent("retry", oteltrace.WithAttributes(attribute.Int("attempt", 1)))
			child.RecordError(errors.New("card refused"))
			child.SetStatus(otelcodes.Error, "card refused")
			child.End()
		}
		root.SetStatus(otelcodes.Ok, "")
		root.End()
	}
	if err := tp.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := kept.all()
	if len(all) != 200 {
		t.Fatalf("the SDK sent %d traces, want 200", len(all))
	}
	api{base: n.http}.allWhole(t, all)
}

// TestTelemetrygenSpansArriveWhole sends with telemetrygen, through a recorder
// over gRPC and directly over HTTP.
func TestTelemetrygenSpansArriveWhole(t *testing.T) {
	path := os.Getenv("RINGCTL_TEST_TELEMETRYGEN")
	if path == "" {
		t.Skip("RINGCTL_TEST_TELEMETRYGEN names no telemetrygen")
	}
	n := single(t, t.TempDir(), calm)
	n.launch()
	n.ready()
	kept := record(t, dialOTLP(t, n.addr("otlp-grpc")))
	for _, args := range [][]string{
		{"--otlp-endpoint", kept.addr, "--span-links", "2", "--status-code", "Error", "--service", "over-grpc"},
		{"--otlp-endpoint", n.addr("otlp-http"), "--otlp-http", "--service", "over-http"},
	} {
		args = append([]string{"traces", "--otlp-insecure", "--traces", "50", "--child-spans", "4", "--workers", "2", "--rate", "0"}, args...)
		if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
			t.Fatalf("telemetrygen: %v\n%s", err, out)
		}
	}
	a := api{base: n.http}
	all := kept.all()
	if len(all) != 100 {
		t.Errorf("telemetrygen sent %d traces over gRPC, want 100", len(all))
	}
	a.allWhole(t, all)
	for _, service := range []string{"over-grpc", "over-http"} {
		s, err := a.search(fmt.Sprintf(`{ resource.service.name = %q }`, service))
		if err != nil {
			t.Fatal(err)
		}
		spans := 0
		for _, tr := range s.Traces {
			spans += tr.SpanSet.Matched
		}
		if len(s.Traces) != 100 || spans != 500 {
			t.Errorf("%s: %d traces with %d spans found, want 100 with 500", service, len(s.Traces), spans)
		}
	}
}
