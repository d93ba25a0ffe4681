package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/screen"
)

// job is a drain that goes on while other things are looked at. It ends with
// the dashboard at the latest: all there is to know of it is in the ring, and
// the same action goes on from there.
type job struct {
	gen    int
	dialog *screen.Dialog
	stop   context.CancelFunc
}

// begin makes the change that has just been confirmed a job.
func (m *Model) begin(gen int) context.Context {
	ctx, stop := context.WithCancel(m.ctx)
	m.jobs = append(m.jobs, &job{gen: gen, dialog: m.dialog, stop: stop})
	return ctx
}

// jobOf is the job that a change is about; nil when there is none.
func (m *Model) jobOf(c screen.Change) *job {
	for _, j := range m.jobs {
		if j.dialog.Change.Same(c) {
			return j
		}
	}
	return nil
}

// jobAt is the job whose changes carry the generation gen; nil when there is none.
func (m *Model) jobAt(gen int) *job {
	for _, j := range m.jobs {
		if j.gen == gen {
			return j
		}
	}
	return nil
}

// stopJob ends the waiting of the drain whose dialog is open.
func (m *Model) stopJob() {
	if j := m.jobOf(m.dialog.Change); j != nil && j.dialog == m.dialog {
		j.stop()
		m.dialog.Stopping()
	}
}

// draining names the partitions that are being drained.
func (m *Model) draining() string {
	var ids []string
	for _, j := range m.jobs {
		ids = append(ids, j.dialog.Change.IDs...)
	}
	return "draining " + strings.Join(ids, ", ")
}

// quit leaves; while something is being drained it takes a second time.
func (m *Model) quit() tea.Cmd {
	if len(m.jobs) > 0 && !m.warned {
		m.warned = true
		m.say(m.draining() + ": once more leaves and stops it; the same action goes on from there")
		return nil
	}
	return tea.Quit
}

// jobProgress shows how far a drain is, and keeps what it changes.
func (m *Model) jobProgress(j *job, p client.Progress) {
	j.dialog.SetProgress(p)
	if p.Made == nil || p.Made.Plan.Action == client.RemovePartition {
		return // the removal is how it ends
	}
	m.feed.Say(m.now, p.Made.Converged < p.Made.Total,
		fmt.Sprintf("%s: %s, %d of %d members agree", j.dialog.Title(), words(p.Made.Plan.Action), p.Made.Converged, p.Made.Total))
	m.events.SetFeed(&m.feed)
}

func words(a client.Action) string { return strings.ReplaceAll(string(a), "-", " ") }

// jobResult keeps how a drain ended, and says so where it is not seen.
func (m *Model) jobResult(j *job, msg resultMsg) tea.Cmd {
	j.stop()
	m.jobs = slices.DeleteFunc(m.jobs, func(o *job) bool { return o == j })
	j.dialog.SetResult(msg.result, msg.err)
	text, bad := j.dialog.Outcome()
	m.feed.Say(m.now, bad, text)
	m.events.SetFeed(&m.feed)
	if m.dialog != j.dialog {
		m.say(text)
	}
	return m.poll()
}
