package receiver

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// sinkStub remembers exports and answers as told.
type sinkStub struct {
	mu     sync.Mutex
	got    []*coltrace.ExportTraceServiceRequest
	tenant string
	answer Outcome
	err    error
}

func (s *sinkStub) push(_ context.Context, tenantID string, raw []byte) (Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var r coltrace.ExportTraceServiceRequest
	if err := proto.Unmarshal(raw, &r); err != nil {
		return Outcome{}, status.Error(codes.InvalidArgument, err.Error())
	}
	s.got, s.tenant = append(s.got, &r), tenantID
	return s.answer, s.err
}

func startReceiver(t *testing.T, cfg Config, sink Sink) *Receiver {
	t.Helper()
	cfg.GRPCEndpoint, cfg.HTTPEndpoint = "127.0.0.1:0", "127.0.0.1:0"
	r, err := Open(cfg, sink, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func sampleExport() *coltrace.ExportTraceServiceRequest {
	return &coltrace.ExportTraceServiceRequest{ResourceSpans: []*otlp.ResourceSpans{{
		Resource: &resource.Resource{Attributes: []*common.KeyValue{{Key: "service.name", Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: "cart"}}}}},
		ScopeSpans: []*otlp.ScopeSpans{{Spans: []*otlp.Span{{
			TraceId: bytes.Repeat([]byte{0xab}, 16), SpanId: bytes.Repeat([]byte{0xcd}, 8), Name: "GET /cart",
			Kind: otlp.Span_SPAN_KIND_SERVER, StartTimeUnixNano: 1_700_000_000_000_000_001, EndTimeUnixNano: 1_700_000_000_000_000_501,
		}}}},
	}}}
}

func dialGRPC(t *testing.T, r *Receiver) coltrace.TraceServiceClient {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///"+r.GRPCAddr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return coltrace.NewTraceServiceClient(cc)
}

func TestGRPCExportArrivesWhole(t *testing.T) {
	sink := &sinkStub{answer: Outcome{Accepted: 1}}
	c := dialGRPC(t, startReceiver(t, Config{}, sink.push))
	want := sampleExport()
	for _, opts := range [][]grpc.CallOption{nil, {grpc.UseCompressor(grpcgzip.Name)}} {
		resp, err := c.Export(t.Context(), want, opts...)
		if err != nil || resp.GetPartialSuccess() != nil {
			t.Fatalf("Export = %v, %v", resp, err)
		}
	}
	if len(sink.got) != 2 || !proto.Equal(sink.got[0], want) || !proto.Equal(sink.got[1], want) {
		t.Errorf("sink got %v", sink.got)
	}
	if sink.tenant != "single-tenant" {
		t.Errorf("tenant = %q", sink.tenant)
	}
}

func TestGRPCPartialSuccess(t *testing.T) {
	sink := &sinkStub{answer: Outcome{Accepted: 1, Rejected: 2, Message: "span 3: no trace id"}}
	resp, err := dialGRPC(t, startReceiver(t, Config{}, sink.push)).Export(t.Context(), sampleExport())
	if err != nil {
		t.Fatal(err)
	}
	if p := resp.GetPartialSuccess(); p.GetRejectedSpans() != 2 || p.GetErrorMessage() != "span 3: no trace id" {
		t.Errorf("partial success = %v", p)
	}
}

func TestTenants(t *testing.T) {
	sink := &sinkStub{answer: Outcome{Accepted: 1}}
	c := dialGRPC(t, startReceiver(t, Config{MultiTenant: true}, sink.push))
	if _, err := c.Export(t.Context(), sampleExport()); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "X-Scope-OrgID") {
		t.Errorf("without tenant: %v", err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-scope-orgid", "team-a")
	if _, err := c.Export(ctx, sampleExport()); err != nil || sink.tenant != "team-a" {
		t.Errorf("with tenant: %v, %q", err, sink.tenant)
	}
	ctx = metadata.AppendToOutgoingContext(t.Context(), "x-scope-orgid", "../etc")
	if _, err := c.Export(ctx, sampleExport()); status.Code(err) != codes.InvalidArgument {
		t.Errorf("with a bad tenant: %v", err)
	}
}

func post(t *testing.T, r *Receiver, contentType, encoding string, body []byte) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.HTTPAddr().String()+"/v1/traces", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func TestHTTPEncodings(t *testing.T) {
	want := sampleExport()
	wire, err := proto.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	// OTLP/JSON writes ids in hex, where protobuf's own JSON would use base64.
	text, err := protojson.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	otlpJSON := bytes.ReplaceAll(text, []byte("q6urq6urq6urq6urq6urqw=="), []byte(strings.Repeat("ab", 16)))
	otlpJSON = bytes.ReplaceAll(otlpJSON, []byte("zc3Nzc3Nzc0="), []byte(strings.Repeat("cd", 8)))
	for _, tt := range []struct {
		name, contentType, encoding string
		body                        []byte
		answer                      string
	}{
		{"protobuf", "application/x-protobuf", "", wire, ""},
		{"protobuf gzip", "application/x-protobuf", "gzip", compressed(t, "gzip", wire), ""},
		{"protobuf deflate", "application/x-protobuf", "deflate", compressed(t, "zlib", wire), ""},
		{"protobuf zlib", "application/x-protobuf", "zlib", compressed(t, "zlib", wire), ""},
		{"protobuf zstd", "application/x-protobuf", "zstd", compressed(t, "zstd", wire), ""},
		{"json zstd", "application/json", "zstd", compressed(t, "zstd", otlpJSON), "{}"},
		{"json", "application/json; charset=utf-8", "", otlpJSON, "{}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sink := &sinkStub{answer: Outcome{Accepted: 1}}
			resp, text := post(t, startReceiver(t, Config{}, sink.push), tt.contentType, tt.encoding, tt.body)
			if resp.StatusCode != http.StatusOK || text != tt.answer {
				t.Fatalf("%s %q", resp.Status, text)
			}
			if len(sink.got) != 1 || !proto.Equal(sink.got[0], want) {
				t.Errorf("sink got %v", sink.got)
			}
		})
	}
}

func compressed(t *testing.T, format string, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch format {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zlib":
		w = zlib.NewWriter(&b)
	case "zstd":
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestHTTPRefusals(t *testing.T) {
	exhausted, err := status.New(codes.ResourceExhausted, "RATE_LIMITED: slow down").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(7 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, contentType, encoding, body string
		err                               error
		code                              int
		says                              string
	}{
		{"not protobuf", "application/x-protobuf", "", "\xff\xff\xff", nil, 400, ""},
		{"not json", "application/json", "", "{", nil, 400, ""},
		{"not gzip", "application/x-protobuf", "gzip", "plain", nil, 400, "not gzip"},
		{"not deflate", "application/x-protobuf", "deflate", "plain", nil, 400, "not deflate"},
		{"not zstd", "application/x-protobuf", "zstd", "plain", nil, 400, "magic number"},
		{"cut off", "application/x-protobuf", "zstd", string(compressed(t, "zstd", make([]byte, 900))[:12]), nil, 400, "unexpected EOF"},
		{"too large inside", "application/x-protobuf", "zstd", string(compressed(t, "zstd", make([]byte, 1<<20))), nil, 413, "lower the batch size"},
		{"unknown encoding", "application/x-protobuf", "br", "x", nil, 400, "br"},
		{"unknown type", "text/plain", "", "x", nil, 415, "text/plain"},
		{"too large", "application/x-protobuf", "", strings.Repeat("x", 2000), nil, 413, "lower the batch size"},
		{"over the limit", "application/x-protobuf", "", "", exhausted.Err(), 429, "slow down"},
		{"no quorum", "application/x-protobuf", "", "", errors.New("two of three keepers down"), 503, "two of three"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sink := &sinkStub{err: tt.err}
			resp, text := post(t, startReceiver(t, Config{MaxMessage: 1000}, sink.push), tt.contentType, tt.encoding, []byte(tt.body))
			if resp.StatusCode != tt.code || !strings.Contains(text, tt.says) {
				t.Errorf("%s %q, want %d with %q", resp.Status, text, tt.code, tt.says)
			}
			if tt.code == 429 && resp.Header.Get("Retry-After") != "7" {
				t.Errorf("Retry-After = %q", resp.Header.Get("Retry-After"))
			}
		})
	}
}

func TestOpenNamesAPortInUse(t *testing.T) {
	r := startReceiver(t, Config{}, (&sinkStub{}).push)
	_, err := Open(Config{HTTPEndpoint: r.HTTPAddr().String()}, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err == nil || !strings.Contains(err.Error(), "otlp HTTP endpoint") || !strings.Contains(err.Error(), r.HTTPAddr().String()) {
		t.Errorf("err = %v", err)
	}
}

// pipe is a listener with one connection.
type pipe chan net.Conn

func (p pipe) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipe) Close() error   { return nil }
func (p pipe) Addr() net.Addr { return &net.TCPAddr{} }

// TestHTTPAnswerAfterALongTime: an export that took long (the disk was slow, the
// tenant is delayed) is answered, or its sender would send what is stored again.
func TestHTTPAnswerAfterALongTime(t *testing.T) {
	for _, err := range []error{nil, status.Error(codes.Unavailable, "no quorum")} {
		synctest.Test(t, func(t *testing.T) {
			slow := func(ctx context.Context, _ string, _ []byte) (Outcome, error) {
				select {
				case <-time.After(time.Minute):
					return Outcome{Accepted: 1}, err
				case <-ctx.Done():
					return Outcome{}, status.Error(codes.Internal, "ended early")
				}
			}
			r := &Receiver{cfg: Config{MaxMessage: 1 << 20}, sink: slow, metrics: newMetrics(prometheus.NewRegistry())}
			srv := r.httpServer()
			ours, theirs := net.Pipe()
			l := make(pipe, 1)
			l <- theirs
			done := make(chan error)
			go func() { done <- srv.Serve(l) }()
			go io.WriteString(ours, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") //nolint:errcheck // seen by the answer
			resp, readErr := http.ReadResponse(bufio.NewReader(ours), nil)
			want := http.StatusOK
			if err != nil {
				want = httpCode(err)
			}
			if readErr != nil || resp.StatusCode != want {
				t.Errorf("%v: %v, want %d (%v)", err, resp, want, readErr)
			}
			ours.Close()
			close(l)
			if err := <-done; !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// lines is a listener in a bubble: it accepts what is sent to it until it is closed.
type lines struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newLines() *lines { return &lines{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (l *lines) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *lines) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *lines) Addr() net.Addr { return &net.TCPAddr{} }

// TestStopsInTime stops a receiver while senders are connected and say nothing, and
// one export hangs: they are cut off, which is no failure.
func TestStopsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := func(ctx context.Context, _ string, _ []byte) (Outcome, error) {
			<-ctx.Done()
			return Outcome{}, ctx.Err()
		}
		http, grpc := newLines(), newLines()
		r := &Receiver{cfg: Config{MaxMessage: 1 << 20}, sink: hangs, metrics: newMetrics(prometheus.NewRegistry()), log: slog.New(slog.DiscardHandler), grpcLis: grpc, httpLis: http}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		export := "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
		for _, c := range []struct {
			to   *lines
			says string
		}{{http, ""}, {grpc, ""}, {http, export}} {
			ours, theirs := net.Pipe()
			defer ours.Close()
			c.to.conns <- theirs
			go io.WriteString(ours, c.says) //nolint:errcheck // cut off
			go io.Copy(io.Discard, ours)    //nolint:errcheck // cut off
		}
		synctest.Wait()
		stop()
		began := time.Now()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 2*stopGrace {
			t.Errorf("it stops after %s", took)
		}
	})
}
