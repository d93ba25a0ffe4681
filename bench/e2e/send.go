//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/ringctl/ringctl/bench/gen"
)

// yardstick is the CPU time of decoding all requests of a load with google's
// protobuf, one after the other; reading the file is left out.
func yardstick(load string) (cpu time.Duration, err error) {
	f, err := gen.Open(load, time.Now())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for {
		r, err := f.Next()
		if errors.Is(err, io.EOF) {
			return cpu, nil
		}
		if err != nil {
			return 0, err
		}
		before, err := own()
		if err != nil {
			return 0, err
		}
		if err := proto.Unmarshal(r.Body, new(coltrace.ExportTraceServiceRequest)); err != nil {
			return 0, err
		}
		after, err := own()
		if err != nil {
			return 0, err
		}
		cpu += after - before
	}
}

// own is the CPU time of this process.
func own() (time.Duration, error) {
	var u unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

// bytesCodec sends requests as they are.
type bytesCodec struct{}

func (bytesCodec) Marshal(v any) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("not bytes: %T", v)
	}
	return b, nil
}

func (bytesCodec) Unmarshal(data []byte, v any) error {
	p, ok := v.(*coltrace.ExportTraceServiceResponse)
	if !ok {
		return fmt.Errorf("not an export response: %T", v)
	}
	return proto.Unmarshal(data, p)
}

// Name implements encoding.Codec.
func (bytesCodec) Name() string { return "proto" }

// export sends one request; again tells that it may be tried later.
type export func(ctx context.Context, body []byte) (again bool, err error)

func (s *server) exporter(c config) (export, func() error, error) {
	if c.transport == "http" {
		return s.postExport, func() error { return nil }, nil
	}
	conn, err := grpc.NewClient(s.addr["otlp-grpc"], grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{})))
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, body []byte) (bool, error) {
		var out coltrace.ExportTraceServiceResponse
		err := conn.Invoke(ctx, "/opentelemetry.proto.collector.trace.v1.TraceService/Export", body, &out)
		if err == nil && out.GetPartialSuccess().GetRejectedSpans() > 0 {
			return false, fmt.Errorf("spans rejected: %s", out.GetPartialSuccess().GetErrorMessage())
		}
		code := status.Code(err)
		return code == codes.ResourceExhausted || code == codes.Unavailable, err
	}, conn.Close, nil
}

func (s *server) postExport(ctx context.Context, body []byte) (again bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr["otlp-http"]+"/v1/traces", bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	res, err := s.client.Do(r)
	if err != nil {
		return false, err
	}
	answer, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, answer)
	}
	return res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusServiceUnavailable, err
}

// sent says how sending went.
type sent struct {
	took    time.Duration
	retries int64
}

// send sends the load flat out and returns when all of it is acknowledged.
func send(ctx context.Context, c config, s *server, load string, base time.Time) (out sent, err error) {
	f, err := gen.Open(load, base)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	requests := make(chan []byte, 64)
	var retries atomic.Int64
	var wg sync.WaitGroup
	for range c.conns {
		do, done, err := s.exporter(c)
		if err != nil {
			return out, err
		}
		defer done() //nolint:errcheck // nothing is under way any more
		wg.Go(func() {
			for body := range requests {
				if err := persist(ctx, do, body, &retries); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	began := time.Now()
	for err == nil {
		var r *gen.Request
		if r, err = f.Next(); err != nil {
			break
		}
		select {
		case requests <- r.Body:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	close(requests)
	wg.Wait()
	if errors.Is(err, io.EOF) {
		err = context.Cause(ctx)
	}
	return sent{time.Since(began), retries.Load()}, err
}

const retryAfter = 50 * time.Millisecond

// persist sends a request until it is taken.
func persist(ctx context.Context, do export, body []byte, retries *atomic.Int64) error {
	for {
		again, err := do(ctx, body)
		if err == nil || !again {
			return err
		}
		retries.Add(1)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(retryAfter):
		}
	}
}
