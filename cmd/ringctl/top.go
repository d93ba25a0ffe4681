package main

import (
	"context"
	"errors"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/doctor"
	"github.com/ringctl/ringctl/cmd/ringctl/command"
	"github.com/ringctl/ringctl/tui"
)

// topGCPercent is how much garbage may gather, in percent of what is held. A
// dashboard stays open for days beside other programs: it should be small
// rather than quick, and what it holds is mostly tokens, which cost the
// collector next to nothing.
const topGCPercent = 75

// top opens the dashboard on a cluster, or on a recording.
func top(ctx context.Context, t command.Top) error {
	debug.SetGCPercent(topGCPercent)
	runtime.GOMAXPROCS(1) // a dashboard has no work for two, and waking another thread costs more than what it would do
	about := tui.About{Name: t.Name}
	if t.ReadOnly {
		about.ReadOnly = "the context is read-only"
	}
	var source tui.Source
	if t.Recording != nil {
		source = tui.NewReplay(t.Name, t.Recording, examine)
	} else {
		source = audited{Source: tui.NewSource(t.Client, about, examine), log: t.Audit}
	}
	return tui.Run(ctx, tui.Options{Source: source, In: t.In, Out: t.Out, Env: os.Environ(), ASCII: t.ASCII, NoColor: !t.Color})
}

// examine applies the doctor's rules for the dashboard.
func examine(views []*client.Snapshot) []tui.Finding {
	var out []tui.Finding
	for _, f := range doctor.Diagnose(views, doctor.Options{}) {
		out = append(out, tui.Finding{Rule: f.Rule, Severity: f.Severity, Ring: f.Ring, Subject: f.Subject, Cause: f.Cause, Evidence: f.Evidence, Fix: f.Fix})
	}
	return out
}

// audited writes every change made in the dashboard to the audit log, each
// when it is made: a drain makes two, hours apart.
type audited struct {
	tui.Source
	log func(*client.Result, error) error
}

func (a audited) Apply(ctx context.Context, p *client.Plan, report func(client.Progress)) (*client.Result, error) {
	var failed error
	res, err := a.Source.Apply(ctx, p, func(pr client.Progress) {
		if pr.Made != nil {
			failed = errors.Join(failed, a.log(pr.Made, pr.Err))
		}
		report(pr)
	})
	if res != nil && p.Action != client.Drain {
		failed = a.log(res, err)
	}
	return res, errors.Join(err, failed)
}
