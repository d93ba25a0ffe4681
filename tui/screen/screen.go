// Package screen holds the screens of the dashboard as plain components.
//
// Each is a struct that is given what to show with Set methods, told of keys
// with HandleKey, and asked to draw itself with View. Keys come back as an
// [Action] when something beyond the screen itself is wanted: nothing here does
// I/O, reads a clock or changes a cluster.
package screen

import (
	"slices"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/widget"
)

// Env is what every screen needs to know while drawing.
type Env struct {
	Now time.Time
	// Wide asks for the columns that are left out otherwise.
	Wide bool
	// ReadOnly says why nothing can be changed; empty where it can.
	ReadOnly string
}

// Action is what a key asks of the dashboard: one of the types below, or nil.
type Action interface{ isAction() }

// Open shows a ring, or one member or partition of it.
type Open struct {
	Screen string
	// Ring is a ring's key, ID an instance, partition or gossip member; both may be empty.
	Ring, ID string
}

// Propose starts a change: its checks are made and shown, nothing is done yet.
type Propose struct{ Change Change }

// Imagine takes members to the what-if screen.
type Imagine struct {
	Ring string
	IDs  []string
}

// Yank copies text to the clipboard.
type Yank struct{ What, Text string }

// Back leaves the screen for the one before.
type Back struct{}

// Say shows a line of words.
type Say struct{ Text string }

func (Open) isAction()    {}
func (Propose) isAction() {}
func (Imagine) isAction() {}
func (Yank) isAction()    {}
func (Back) isAction()    {}
func (Say) isAction()     {}

// Change is a change that a person asked for.
type Change struct {
	Action client.Action
	// Ring is the key of the ring.
	Ring string
	// IDs are instances, owners or partition numbers.
	IDs []string
	// Window and Ask are those of a drain, see [client.DrainRequest].
	Window time.Duration
	Ask    []string
}

// NewChange is a change with what is usual for its action.
func NewChange(action client.Action, ring string, ids ...string) Change {
	c := Change{Action: action, Ring: ring, IDs: ids}
	if action == client.Drain {
		c.Window = client.UsualDrainWindow
	}
	return c
}

// Same tells whether two changes are about the same things.
func (c Change) Same(o Change) bool {
	return c.Action == o.Action && c.Ring == o.Ring && slices.Equal(c.IDs, o.IDs)
}

// Hint is a key and what it does, for the footer and the help.
type Hint struct{ Key, Does string }

// Notice fills a canvas with one calm message: what is missing and what to do.
func Notice(c widget.Canvas, st widget.Style, title string, lines ...string) {
	var text []string
	for _, l := range lines {
		text = append(text, widget.Wrap(l, min(c.W-4, 72))...)
	}
	y := max((c.H-len(text)-2)/2, 0)
	c.Center(y, st, title)
	for i, l := range text {
		c.Center(y+2+i, c.Theme.Dim, l)
	}
}
