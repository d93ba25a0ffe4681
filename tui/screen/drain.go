package screen

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/widget"
)

// StopKey ends the waiting of a drain, in its dialog. It changes nothing.
const StopKey = "C"

const stoppedWords = "what was done stays, and the same action goes on from there"

// drains tells whether the change is one that takes its time.
func (d *Dialog) drains() bool { return d.Change.Action == client.Drain }

// Busy tells whether something is awaited that is about to happen.
func (d *Dialog) Busy() bool {
	return d.phase == Checking || d.phase == Applying && !(d.drains() && d.progress.Phase == "waiting")
}

// Stoppable tells whether this is a drain that goes on.
func (d *Dialog) Stoppable() bool { return d.drains() && d.phase == Applying }

// Stopping notes that it was told to stop.
func (d *Dialog) Stopping() { d.stopping = true }

func (d *Dialog) stopped() bool {
	return d.drains() && d.phase == Done && errors.Is(d.err, context.Canceled)
}

// stageWords names the stages of a drain.
var stageWords = map[client.DrainStage]string{
	client.DrainDeactivate: "deactivated", client.DrainQuiet: "window", client.DrainBlocks: "blocks",
	client.DrainOwners: "owners", client.DrainViews: "members", client.DrainRemove: "removed",
}

// drainLines are the stages: what is done, what is waited for, what is to come.
func (d *Dialog) drainLines(t *widget.Theme, w int, now time.Time) []line {
	s := d.progress.Drain
	first := true
	var out []line
	for _, step := range s.Steps {
		sym, st, text := t.Glyph.Separator, t.Faint, step.Text
		switch {
		case step.Done:
			sym, st = t.Glyph.Good, t.Good
		case first:
			sym, st, first = t.Glyph.Pointer, t.Info, false
		}
		if left := s.QuietAt.Sub(now); step.Stage == client.DrainQuiet && !step.Done && !s.QuietAt.IsZero() && left > 0 {
			text = fmt.Sprintf("queries may need its owners for another %s, until %s", age(left), s.QuietAt.Local().Format(time.TimeOnly))
		}
		out = append(out, wrapped(st, fmt.Sprintf("%s %-12s", sym, stageWords[step.Stage]), t.Text, text, w)...)
	}
	return out
}

// drainProgress is what happens just now.
func (d *Dialog) drainProgress(t *widget.Theme, w, spinner int) []line {
	out := []line{nil}
	switch {
	case d.stopping:
		out = append(out, line{{Style: t.Warn, Text: "stopping"}})
	case d.progress.Phase == "waiting" && d.progress.Err != nil:
		out = append(out, wrapped(t.Warn, t.Glyph.Warn+" no view, looking again  ", t.Text, d.progress.Err.Error(), w)...)
	case d.progress.Phase == "waiting":
		out = append(out, line{{Style: t.Dim, Text: "looking again every few seconds"}})
	default:
		out = append(out, d.progressLine(t, spinner))
	}
	more := "esc: it goes on while you look at other things; " + StopKey + ": stop here, to go on later"
	return append(append(out, nil), wrapped(t.Dim, "", t.Dim, more, w)...)
}
