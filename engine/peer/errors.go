package peer

import (
	"context"
	"errors"
	"syscall"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/ringctl/ringctl/engine/trace"
)

// full is an error of a store that has no room now.
type full interface{ RetryIn() time.Duration }

// partly is an error of a store that left traces out for a limit of their tenant
// and kept the others.
type partly interface {
	LiveTracesExceeded() []trace.ID
	TraceTooLarge() []trace.ID
}

// PushError gives the error of a recent store its gRPC code, so that senders
// know whether to send again.
func PushError(err error) error {
	var f full
	var p partly
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		traces := map[trace.ID]Reason{}
		for _, id := range p.LiveTracesExceeded() {
			traces[id] = LiveTracesExceeded
		}
		for _, id := range p.TraceTooLarge() {
			traces[id] = TraceTooLarge
		}
		return &RefusedError{Message: err.Error(), Traces: traces}
	case errors.As(err, &f):
		st, detailErr := status.New(codes.ResourceExhausted, err.Error()).WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(f.RetryIn())})
		if detailErr != nil {
			return status.Error(codes.ResourceExhausted, err.Error())
		}
		return st.Err()
	case errors.Is(err, syscall.ENOSPC):
		return status.Error(codes.ResourceExhausted, err.Error()+"; make space on the keeper's disk, it goes on by itself then")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(codes.Unavailable, err.Error())
}
