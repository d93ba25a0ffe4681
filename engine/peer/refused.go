package peer

import (
	"encoding/hex"
	"errors"
	"maps"
	"slices"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/trace"
)

// Reason is why a keeper left a trace out of a push: the label of
// tempo_discarded_spans_total.
type Reason string

// The limits of a tenant that a keeper watches.
const (
	LiveTracesExceeded Reason = "live_traces_exceeded"
	TraceTooLarge      Reason = "trace_too_large"
)

// MaxRefused is the most traces that one push may leave out: they travel in the
// trailer of the call. A keeper that would leave out more refuses the push whole.
const MaxRefused = 4096

// RefusedError says which traces of a push a keeper left out because they are
// over a limit of their tenant. It kept all others.
type RefusedError struct {
	Message string
	Traces  map[trace.ID]Reason
}

// Error implements error.
func (e *RefusedError) Error() string { return e.Message }

// GRPCStatus is how the error travels: a QuotaFailure with a violation per
// reason, whose description is the ids in hex. A distributor that does not know
// it sees a keeper that is full, and has the sender try again.
func (e *RefusedError) GRPCStatus() *status.Status {
	ids := map[Reason][]byte{}
	for id, r := range e.Traces {
		ids[r] = append(ids[r], id[:]...)
	}
	q := &errdetails.QuotaFailure{}
	for _, r := range slices.Sorted(maps.Keys(ids)) {
		q.Violations = append(q.Violations, &errdetails.QuotaFailure_Violation{Subject: string(r), Description: hex.EncodeToString(ids[r])})
	}
	st := status.New(codes.ResourceExhausted, e.Message)
	if full, err := st.WithDetails(q); err == nil {
		return full
	}
	return st
}

// Refused reads which traces a keeper left out; nil when the error is another
// one.
func Refused(err error) map[trace.ID]Reason {
	if err == nil {
		return nil
	}
	var e *RefusedError
	if errors.As(err, &e) {
		return e.Traces
	}
	out := map[trace.ID]Reason{}
	for _, d := range status.Convert(err).Details() {
		q, ok := d.(*errdetails.QuotaFailure)
		if !ok {
			continue
		}
		for _, v := range q.GetViolations() {
			ids, err := hex.DecodeString(v.GetDescription())
			if err != nil || v.GetSubject() == "" || len(ids)%len(trace.ID{}) != 0 || len(out)+len(ids)/len(trace.ID{}) > MaxRefused {
				return nil // not understood: the push failed
			}
			for ; len(ids) > 0; ids = ids[len(trace.ID{}):] {
				out[trace.ID(ids[:len(trace.ID{})])] = Reason(v.GetSubject())
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
