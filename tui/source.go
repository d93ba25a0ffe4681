package tui

import (
	"context"
	"iter"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/scene"
	"github.com/ringctl/ringctl/tui/screen"
)

// Change is a change that a person asked for: an action on members or
// partitions of a ring.
type Change = screen.Change

// Finding is one thing the doctor found.
type Finding = scene.Finding

// About says what a source is, and what may be done with it.
type About struct {
	// Name is the cluster's name, shown at the top: a context, or an address.
	Name string
	// ReadOnly says why nothing can be changed; empty where it can.
	ReadOnly string
	// Recorded is true for a recording: its end is not a lost connection.
	Recorded bool
}

// Source is where the dashboard gets rings from, and where it sends changes.
// Methods are called from several goroutines at once, Watch only once. None of
// them may change what it has returned before.
type Source interface {
	// About is asked once, at the start.
	About() About
	// Watch yields snapshots as the cluster changes, the first as soon as
	// possible, until ctx ends or, for a recording, until the last. An error is
	// a moment without a view: Watch goes on trying and yields again.
	Watch(ctx context.Context) iter.Seq2[*client.Snapshot, error]
	// Views asks every member for its own view; those that answered are
	// returned even with an error about the others.
	Views(ctx context.Context) ([]*client.Snapshot, error)
	// Examine applies the doctor's rules to views. It does no I/O.
	Examine(views []*client.Snapshot) []Finding
	// Plan checks a change against all views, and changes nothing.
	Plan(ctx context.Context, c Change) (*client.Plan, error)
	// Apply makes a planned change and returns when all members have it or time
	// is up. report is called with the progress, from any goroutine.
	Apply(ctx context.Context, p *client.Plan, report func(client.Progress)) (*client.Result, error)
}
