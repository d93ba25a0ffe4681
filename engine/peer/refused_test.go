package peer

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ringctl/ringctl/engine/peer/peerpb"
	"github.com/ringctl/ringctl/engine/trace"
)

// partial is the error of a store that kept some traces.
type partial struct{ live, large []trace.ID }

func (partial) Error() string                    { return "over a limit" }
func (p partial) LiveTracesExceeded() []trace.ID { return p.live }
func (p partial) TraceTooLarge() []trace.ID      { return p.large }

// Which traces a keeper left out arrives whole, within the process and through
// the network.
func TestRefusedTracesTravel(t *testing.T) {
	err := partial{large: []trace.ID{{1}, {2}}}
	for i := range MaxRefused - 2 {
		err.live = append(err.live, trace.ID{3, byte(i), byte(i >> 8)})
	}
	k := &keeperStub{err: PushError(fmt.Errorf("push: %w", err))}
	c, addr := serve(t, map[Role]Keeper{peerpb.Role_ROLE_INGESTER: k}, nil)
	for where, got := range map[string]error{"network": c.Push(t.Context(), addr, peerpb.Role_ROLE_INGESTER, "a", []byte("x")), "process": k.err} {
		refused := Refused(got)
		if status.Code(got) != codes.ResourceExhausted || len(refused) != MaxRefused || !strings.Contains(got.Error(), "over a limit") {
			t.Fatalf("%s: %d traces, %.200v", where, len(refused), got)
		}
		for _, id := range err.large {
			if refused[id] != TraceTooLarge {
				t.Errorf("%s: %s: %q", where, id, refused[id])
			}
		}
		for _, id := range err.live {
			if refused[id] != LiveTracesExceeded {
				t.Fatalf("%s: %s: %q", where, id, refused[id])
			}
		}
	}
}

func TestOtherErrorsRefuseNoTraces(t *testing.T) {
	reasoned := func(reason, text string) error {
		st, err := status.New(codes.ResourceExhausted, "x").WithDetails(&errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{Subject: reason, Description: text}}})
		if err != nil {
			t.Fatal(err)
		}
		return st.Err()
	}
	quota := func(text string) error { return reasoned("s", text) }
	for name, err := range map[string]error{"none": nil, "plain": errors.New("x"), "status": status.Error(codes.ResourceExhausted, "full"),
		"not hex": quota("zz"), "cut": quota("0102"), "empty": quota(""), "no reason": reasoned("", strings.Repeat("01", 16)), "long": quota(strings.Repeat("00", 16*(MaxRefused+1)))} {
		if got := Refused(err); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What another node says was refused is bounded, and ids are whole.
func FuzzRefused(f *testing.F) {
	f.Add("trace_too_large", strings.Repeat("01", 16))
	f.Add("", "zz")
	f.Add("x", strings.Repeat("00", 16*(MaxRefused+1)))
	f.Fuzz(func(t *testing.T, reason, ids string) {
		st, err := status.New(codes.ResourceExhausted, "x").WithDetails(&errdetails.QuotaFailure{Violations: []*errdetails.QuotaFailure_Violation{{Subject: reason, Description: ids}}})
		if err != nil {
			return // not text
		}
		if got := Refused(st.Err()); len(got) > MaxRefused || len(got)*32 > len(ids) {
			t.Fatalf("%d traces of %d bytes", len(got), len(ids))
		}
		for _, why := range Refused(st.Err()) {
			if why == "" {
				t.Fatal("a trace is refused for nothing")
			}
		}
	})
}
