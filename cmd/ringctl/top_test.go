package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui"
)

// twoSteps is a source whose drain makes two changes and then fails.
type twoSteps struct{ tui.Source }

func (twoSteps) Apply(_ context.Context, p *client.Plan, report func(client.Progress)) (*client.Result, error) {
	if p.Action != client.Drain {
		return &client.Result{Plan: p}, nil
	}
	report(client.Progress{Phase: "made", Made: &client.Result{Plan: &client.Plan{Action: client.Deactivate}}})
	report(client.Progress{Phase: "waiting"})
	report(client.Progress{Phase: "made", Made: &client.Result{Plan: &client.Plan{Action: client.RemovePartition}}, Err: errors.New("one is silent")})
	return nil, errors.New("stopped")
}

// TestEachChangeIsAudited looks at what the audit log is told.
func TestEachChangeIsAudited(t *testing.T) {
	var got []string
	a := audited{Source: twoSteps{}, log: func(r *client.Result, err error) error {
		got = append(got, fmt.Sprint(r.Plan.Action, " ", err))
		return nil
	}}
	for _, action := range []client.Action{client.Lock, client.Drain} {
		_, _ = a.Apply(t.Context(), &client.Plan{Action: action}, func(client.Progress) {})
	}
	if want := []string{"lock <nil>", "deactivate <nil>", "remove-partition one is silent"}; !slices.Equal(got, want) {
		t.Errorf("audited %q, want %q", got, want)
	}
}
