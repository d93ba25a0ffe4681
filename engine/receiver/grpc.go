package receiver

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // senders compress with gzip
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// export is one undecoded ExportTraceServiceRequest, response likewise.
type export struct{ buf mem.Buffer }

type exportResponse struct{ raw []byte }

// codec hands exports through as bytes and leaves every other message (health
// checks) to the usual protobuf codec.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(grpcproto.Name)} }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if r, ok := v.(*exportResponse); ok {
		return mem.BufferSlice{mem.SliceBuffer(r.raw)}, nil
	}
	return c.CodecV2.Marshal(v)
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if e, ok := v.(*export); ok {
		e.buf = data.MaterializeToBuffer(mem.DefaultBufferPool())
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

const traceService = "opentelemetry.proto.collector.trace.v1.TraceService"

// traceServer is what the service description asks of its implementation.
type traceServer interface {
	export(ctx context.Context, e *export) (*exportResponse, error)
}

var traceServiceDesc = grpc.ServiceDesc{
	ServiceName: traceService,
	HandlerType: (*traceServer)(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Export", Handler: exportHandler}},
	Metadata:    "opentelemetry/proto/collector/trace/v1/trace_service.proto",
}

func exportHandler(srv any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var e export
	if err := dec(&e); err != nil {
		return nil, err
	}
	defer e.buf.Free()
	return srv.(traceServer).export(ctx, &e)
}

// Windows large enough that a 4 MiB export needs no round trip for flow
// control; the defaults of 64 KiB cost one for each.
const (
	streamWindow = 1 << 20
	connWindow   = 8 << 20
	readBuffer   = 128 << 10
)

func (r *Receiver) grpcServer() *grpc.Server {
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(r.cfg.MaxMessage),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.ReadBufferSize(readBuffer),
		grpc.ConnectionTimeout(stopGrace), // a server that stops waits for those that have said nothing yet
	}
	if r.cfg.GRPCTLS != nil {
		opts = append(opts, grpc.Creds(tlsCredentials(r.cfg.GRPCTLS)))
	}
	srv := grpc.NewServer(opts...)
	srv.RegisterService(&traceServiceDesc, r)
	healthpb.RegisterHealthServer(srv, health.NewServer())
	return srv
}

func (r *Receiver) export(ctx context.Context, e *export) (*exportResponse, error) {
	tenantID, err := r.tenantOf(orgID(ctx))
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	out, err := r.take(ctx, tenantID, e.buf.ReadOnlyData(), "grpc")
	if err != nil {
		return nil, err
	}
	return &exportResponse{appendResponse(nil, out)}, nil
}

func orgID(ctx context.Context) string {
	if v := metadata.ValueFromIncomingContext(ctx, "x-scope-orgid"); len(v) > 0 {
		return v[0]
	}
	return ""
}

// take passes one export on and counts what became of it. Its error is always
// a gRPC status.
func (r *Receiver) take(ctx context.Context, tenantID string, otlp []byte, transport string) (Outcome, error) {
	out, err := r.sink(ctx, tenantID, otlp)
	r.metrics.accepted.WithLabelValues("otlp", transport).Add(float64(out.Accepted))
	r.metrics.refused.WithLabelValues("otlp", transport).Add(float64(out.Rejected))
	if err == nil {
		return out, nil
	}
	if _, ok := status.FromError(err); ok {
		return out, err
	}
	return out, status.Error(codes.Unavailable, fmt.Sprintf("spans not stored: %v", err))
}
