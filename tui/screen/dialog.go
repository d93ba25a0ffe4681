package screen

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/widget"
)

// Phase is how far a dialog has come.
type Phase int

// The phases of a dialog, in order.
const (
	// Checking waits for the preflight checks.
	Checking Phase = iota
	// Asking shows the checks and waits for the words of confirmation.
	Asking
	// Applying shows progress.
	Applying
	// Done shows the outcome.
	Done
)

// Dialog leads a change from its checks over the confirmation to its outcome.
// Only typed words confirm: a yes, or the name of what is changed.
type Dialog struct {
	Change   Change
	phase    Phase
	plan     *client.Plan
	input    widget.Input
	progress client.Progress
	result   *client.Result
	err      error
	// stopping is true once the waiting of a drain is to end.
	stopping bool
	// top is the first line of the checks that is shown, more how many there are
	// beyond the room there is.
	top, more int
}

// NewDialog starts a dialog that waits for its checks.
func NewDialog(c Change) *Dialog { return &Dialog{Change: c} }

// Phase is how far the dialog has come.
func (d *Dialog) Phase() Phase { return d.phase }

// Plan is the plan that was checked; nil before.
func (d *Dialog) Plan() *client.Plan { return d.plan }

// SetPlan shows the outcome of the checks.
func (d *Dialog) SetPlan(p *client.Plan, err error) {
	d.plan, d.err, d.phase = p, err, Asking
	if err != nil || p.Pending() == 0 || p.Allowed(false) != nil {
		d.phase = Done
	}
}

// SetProgress shows how many members have the change.
func (d *Dialog) SetProgress(p client.Progress) { d.progress = p }

// SetResult shows the outcome.
func (d *Dialog) SetResult(r *client.Result, err error) { d.result, d.err, d.phase = r, err, Done }

// Wanted is the text that confirms.
func (d *Dialog) Wanted() string {
	if d.plan != nil && d.plan.Danger == client.Severe && d.plan.Confirm != "" {
		return d.plan.Confirm
	}
	return "yes"
}

// HandleKey edits the confirmation. confirmed is true exactly once: when enter
// is pressed on the wanted words. closed is true when the dialog is over.
func (d *Dialog) HandleKey(key, text string) (confirmed, closed bool) {
	switch {
	case key == "esc" && (d.phase != Applying || d.drains()):
		return false, true
	case d.phase == Done && (key == "enter" || key == "q"):
		return false, true
	case d.scroll(key) || d.phase != Asking:
		return false, false
	case key == "enter":
		if strings.TrimSpace(d.input.Value()) != d.Wanted() {
			return false, false
		}
		d.phase = Applying
		return true, false
	}
	d.input.HandleKey(key, text)
	return false, false
}

// Hints are the keys that a dialog takes now.
func (d *Dialog) Hints() []Hint {
	switch d.phase {
	case Asking:
		return []Hint{{"enter", "confirm"}, {"esc", "leave everything as it is"}}
	case Applying:
		if d.drains() {
			return []Hint{{"esc", "look at other things meanwhile"}, {StopKey, "stop here"}}
		}
		return []Hint{{"ctrl+c", "quit without seeing how it ends"}}
	case Checking, Done:
	}
	return []Hint{{"esc", "close"}}
}

// scroll moves through checks that do not fit.
func (d *Dialog) scroll(key string) bool {
	switch key {
	case "down":
		d.top++
	case "up":
		d.top--
	case "pgdown":
		d.top += 8
	case "pgup":
		d.top -= 8
	default:
		return false
	}
	d.top = min(max(d.top, 0), d.more)
	return true
}

// Title names the change in words.
func (d *Dialog) Title() string {
	what := strings.ReplaceAll(string(d.Change.Action), "-", " ")
	ids := joinShort(d.Change.IDs, 3)
	if d.Change.Action != client.Forget && d.Change.Action != client.RemoveOwner && d.Change.Action != client.RemovePartition {
		return what + " partition " + ids
	}
	return what + " " + ids
}

// View draws the dialog in the middle of the canvas, over what is there.
func (d *Dialog) View(c widget.Canvas, env Env, spinner int) {
	w := min(c.W-4, 84)
	upper, lower := d.lines(c.Theme, w-6, env, spinner)
	h := min(len(upper)+len(lower)+4, c.H)
	box := c.Sub((c.W-w)/2, max((c.H-h)/2, 0), w, h)
	box.Fill(widget.Style{})
	in := box.Box(d.Title(), d.ringName()).Inset(2).Below(1)
	room := max(in.H-1-len(lower), 0)
	d.more = max(len(upper)-room, 0)
	d.top = min(d.top, d.more)
	shown := upper[d.top:min(d.top+room, len(upper))]
	for y, l := range shown {
		in.Spans(0, y, l...)
	}
	if d.more > 0 {
		text := fmt.Sprintf(" lines %d-%d of %d, %s %s scroll ", d.top+1, d.top+len(shown), len(upper), c.Theme.Glyph.Up, c.Theme.Glyph.Down)
		box.Text(2, box.H-1, c.Theme.Accent, text)
	}
	for y, l := range lower {
		in.Spans(0, len(shown)+y, l...)
	}
}

func (d *Dialog) ringName() string {
	if d.plan != nil {
		return d.plan.Ring
	}
	return d.Change.Ring
}

// arrows draws the arrows of a text as the theme does.
func arrows(t *widget.Theme, text string) string {
	return strings.ReplaceAll(text, "->", t.Glyph.Right)
}

type line = []widget.Span

// lines are what may scroll, and below it what is always in sight.
func (d *Dialog) lines(t *widget.Theme, w int, env Env, spinner int) (upper, lower []line) {
	if d.plan == nil && d.err == nil {
		return nil, []line{{{Style: t.Info, Text: t.Glyph.Spinner[spinner%len(t.Glyph.Spinner)] + " reading the views and checking"}}}
	}
	switch {
	case d.drains() && d.progress.Drain != nil:
		upper = d.drainLines(t, w, env.Now)
	case d.plan != nil && d.result == nil:
		upper = d.planLines(t, w)
	}
	switch d.phase {
	case Asking:
		typed := line{{Style: t.Accent, Text: "> "}, {Style: t.Strong, Text: d.input.Value()}, {Style: t.Strong.With(widget.Reverse), Text: " "}}
		lower = []line{nil, d.question(t), typed, nil, {{Style: t.Dim, Text: "enter does it once the words are there, esc leaves everything as it is"}}}
	case Applying:
		lower = []line{nil, d.progressLine(t, spinner)}
		if d.drains() {
			lower = d.drainProgress(t, w, spinner)
		}
		if behind := d.behind(); len(behind) > 0 {
			lower = append(lower, wrapped(t.Dim, "  not yet: ", t.Text, joinShort(behind, 4), w)...)
		}
	case Done:
		lower = append(d.outcome(t, w), nil, line{{Style: t.Dim, Text: "esc closes this"}})
	case Checking:
	}
	return upper, lower
}

func (d *Dialog) planLines(t *widget.Theme, w int) []line {
	var out []line
	shown := 0
	for i := range d.plan.Steps {
		s := &d.plan.Steps[i]
		if shown++; shown > 4 {
			out = append(out, line{{Style: t.Dim, Text: fmt.Sprintf("  and %d more", len(d.plan.Steps)-4)}})
			break
		}
		out = append(out, wrapped(t.Strong, s.ID+"  ", t.Text, s.Before+" "+t.Glyph.Right+" "+s.After, w)...)
	}
	told := slices.ContainsFunc(d.plan.Checks, func(k client.Check) bool { return strings.Contains(k.Text, d.plan.Effect) })
	if d.plan.Effect != "" && !told {
		out = append(out, wrapped(t.Dim, "  ", t.Text, arrows(t, d.plan.Effect), w)...)
	}
	out = append(out, nil)
	for _, k := range d.plan.Checks {
		sym, st := level(t, k.Level)
		name := k.Name
		if k.ID != "" && len(d.plan.Steps) > 1 {
			name += " " + k.ID
		}
		out = append(out, wrapped(st, sym+" "+name+"  ", t.Text, arrows(t, k.Text), w)...)
	}
	if len(d.plan.Views) > 0 {
		out = append(out, line{{Style: t.Dim, Text: "checked against " + count(len(d.plan.Views), "view")}})
	}
	return out
}

func level(t *widget.Theme, l client.CheckLevel) (string, widget.Style) {
	switch l {
	case client.Pass:
		return t.Glyph.Good, t.Good
	case client.Warn:
		return t.Glyph.Warn, t.Warn
	default:
		return t.Glyph.Bad, t.Bad
	}
}

// wrapped is a head followed by text that is wrapped and indented under itself.
func wrapped(headStyle widget.Style, head string, st widget.Style, text string, w int) []line {
	indent := min(widget.Width(head), w/3)
	var out []line
	for i, l := range widget.Wrap(text, w-indent) {
		if i == 0 {
			out = append(out, line{{Style: headStyle, Text: head}, {Style: st, Text: l}})
			continue
		}
		out = append(out, line{{Style: st, Text: strings.Repeat(" ", indent) + l}})
	}
	return out
}

func (d *Dialog) question(t *widget.Theme) line {
	if d.Wanted() == "yes" {
		return line{{Style: t.Text, Text: "Type "}, {Style: t.Marked, Text: "yes"}, {Style: t.Text, Text: " to " + d.Title() + "."}}
	}
	return line{{Style: t.Warn, Text: "This one is serious. "}, {Style: t.Text, Text: "Type "}, {Style: t.Marked, Text: d.Wanted()}, {Style: t.Text, Text: " to go on."}}
}

// behind are the members that are still waited for.
func (d *Dialog) behind() []string {
	var names []string
	for _, l := range d.progress.Laggards {
		if !slices.Contains(names, l.Member) {
			names = append(names, l.Member)
		}
	}
	return names
}

func (d *Dialog) progressLine(t *widget.Theme, spinner int) line {
	p := d.progress
	head := t.Glyph.Spinner[spinner%len(t.Glyph.Spinner)] + " "
	if p.Total == 0 {
		return line{{Style: t.Info, Text: head + "sending"}}
	}
	full := 24
	done := full * p.Done / p.Total
	bar := strings.Repeat(t.Glyph.Bar[len(t.Glyph.Bar)-1], done)
	return line{{Style: t.Info, Text: head + p.Phase + " "}, {Style: t.Good, Text: bar},
		{Style: t.Faint, Text: strings.Repeat(t.Glyph.Track, full-done)},
		{Style: t.Text, Text: fmt.Sprintf(" %d of %d members have it", p.Done, p.Total)}}
}

// outcome says how it ended and what to do next.
func (d *Dialog) outcome(t *widget.Theme, w int) []line {
	switch {
	case d.stopped():
		return append([]line{nil}, wrapped(t.Warn, t.Glyph.Warn+" stopped  ", t.Text, stoppedWords, w)...)
	case d.err != nil:
		out := wrapped(t.Bad, t.Glyph.Bad+" ", t.Text, d.err.Error(), w)
		if hint := client.HintOf(d.err); hint != "" {
			out = append(out, wrapped(t.Dim, "  ", t.Dim, hint, w)...)
		}
		return out
	case d.result != nil:
		return d.resultLines(t, w)
	case d.plan.Pending() == 0:
		return []line{nil, {{Style: t.Good, Text: t.Glyph.Good + " "}, {Style: t.Text, Text: "it is already so, nothing to do"}}}
	}
	out := append([]line{nil}, wrapped(t.Bad, t.Glyph.Bad+" refused  ", t.Text, d.plan.Allowed(false).Error(), w)...)
	return append(out, wrapped(t.Dim, "  ", t.Dim, "nothing was changed; the commands of ringctl can force what may be forced", w)...)
}

func (d *Dialog) resultLines(t *widget.Theme, w int) []line {
	r := d.result
	if d.drains() {
		return append([]line{nil}, wrapped(t.Good, t.Glyph.Good+" removed  ", t.Text, fmt.Sprintf("it is in none of %s, after %s", count(r.Total, "view"), took(r)), w)...)
	}
	if r.Converged == r.Total {
		return wrapped(t.Good, t.Glyph.Good+" done  ", t.Text, fmt.Sprintf("all %d members agree, after %s", r.Total, took(r)), w)
	}
	out := wrapped(t.Warn, t.Glyph.Warn+" sent  ", t.Text, fmt.Sprintf("%d of %d members agree after %s; these do not:", r.Converged, r.Total, took(r)), w)
	for i, l := range r.Laggards {
		if i == 6 {
			out = append(out, line{{Style: t.Dim, Text: fmt.Sprintf("  and %d more", len(r.Laggards)-6)}})
			break
		}
		out = append(out, wrapped(t.Warn, "  "+l.Member+"  ", t.Text, l.ID+": "+l.Has, w)...)
	}
	return out
}

// took is how long a change took, with the digits that matter.
func took(r *client.Result) string {
	d := time.Duration(r.Took)
	if d > time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// Outcome is the result in one line, for the event feed.
func (d *Dialog) Outcome() (text string, bad bool) {
	switch {
	case d.stopped():
		return d.Title() + ": stopped; " + stoppedWords, false
	case d.err != nil:
		return d.Title() + " failed: " + d.err.Error(), true
	case d.result != nil && d.result.Converged < d.result.Total:
		return fmt.Sprintf("%s: sent, %d of %d members agree", d.Title(), d.result.Converged, d.result.Total), true
	case d.result != nil && d.drains():
		return fmt.Sprintf("%s: removed, it is in none of %s", d.Title(), count(d.result.Total, "view")), false
	case d.result != nil:
		return fmt.Sprintf("%s: done, all %d members agree", d.Title(), d.result.Total), false
	}
	return d.Title() + ": not done", false
}
