package scene

import (
	"fmt"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client"
)

// Limits of the event feed: a burst is at most burstFor long however busy it
// is, and ends after burstQuiet without another event of its kind. One thing
// that goes to and fro is one entry for at most flapFor.
const (
	burstQuiet = 2 * time.Second
	burstFor   = 10 * time.Second
	flapFor    = time.Minute
	feedMax    = 2000
	flapSlots  = 720
	// FlapSlot is the time that one column of the flap sparkline stands for.
	FlapSlot = 5 * time.Second
)

// Entry is one line of the feed: an event, or a burst of events of one kind in
// one ring.
type Entry struct {
	First, Last time.Time
	Kind        client.EventKind
	Key         string
	From, To    string
	// IDs are the things it happened to, without repeats, in order of arrival;
	// at most twelve are kept. Count is the number of events.
	IDs   []string
	Count int
	// Flapping is true when it is one thing that goes to and fro.
	Flapping bool
	Bad      bool
	// Note is a line that is not an event of the cluster: the outcome of a
	// change made here, a lost connection.
	Note string
}

// Subject names what the entry is about, in at most a few words.
func (e *Entry) Subject() string {
	switch n := len(e.IDs); {
	case n == 0:
		return e.Key
	case n <= 3:
		return strings.Join(e.IDs, ", ")
	default:
		return fmt.Sprintf("%s, %s and %d more", e.IDs[0], e.IDs[1], e.Count-2)
	}
}

// Feed is the running story of a cluster: entries oldest first, and how many
// states flapped in each slot of time. The zero value is ready. Not safe for
// concurrent use.
type Feed struct {
	Entries []Entry
	// Dropped counts old entries that no longer fit.
	Dropped int
	// Total is the number of flaps seen.
	Total int
	flaps []int // per slot, from the slot first on
	first int64
}

// Add takes the events of one snapshot.
func (f *Feed) Add(events []client.Event) {
	for i := range events {
		f.add(&events[i])
	}
}

// Say adds a line of our own.
func (f *Feed) Say(at time.Time, bad bool, note string) {
	f.append(Entry{First: at, Last: at, Count: 1, Bad: bad, Note: note})
}

func (f *Feed) add(e *client.Event) {
	if flaps(e) {
		f.count(e.At)
	}
	// A burst may be interleaved with others: look back while it could be open.
	for i := len(f.Entries) - 1; i >= 0; i-- {
		b := &f.Entries[i]
		if e.At.Sub(b.First) > flapFor {
			break
		}
		switch {
		case b.takes(e):
			b.merge(e)
			return
		case b.flaps(e):
			b.Flapping = true
			b.Last, b.From, b.To, b.Count, b.Bad = e.At, e.From, e.To, b.Count+1, b.Bad || e.Bad
			return
		}
	}
	f.append(Entry{First: e.At, Last: e.At, Kind: e.Kind, Key: e.Key, From: e.From, To: e.To, IDs: ids(e.ID), Count: 1, Bad: e.Bad})
}

func (b *Entry) takes(e *client.Event) bool {
	return !b.Flapping && b.same(e) && b.To == e.To && e.At.Sub(b.Last) <= burstQuiet && e.At.Sub(b.First) <= burstFor
}

func (b *Entry) same(e *client.Event) bool {
	return b.Note == "" && b.Kind == e.Kind && b.Key == e.Key && !e.At.Before(b.First)
}

// flaps tells whether the event takes back what the entry says of its only
// subject.
func (b *Entry) flaps(e *client.Event) bool {
	return b.same(e) && flaps(e) && len(b.IDs) == 1 && b.IDs[0] == e.ID && (b.Count == 1 || b.Flapping) &&
		b.To == e.From && e.At.Sub(b.Last) <= burstFor
}

func (b *Entry) merge(e *client.Event) {
	b.Last, b.Count, b.Bad = e.At, b.Count+1, b.Bad || e.Bad
	if b.From != e.From {
		b.From = ""
	}
	for _, id := range b.IDs {
		if id == e.ID {
			return
		}
	}
	if len(b.IDs) < 12 && e.ID != "" {
		b.IDs = append(b.IDs, e.ID)
	}
}

func ids(id string) []string {
	if id == "" {
		return nil
	}
	return []string{id}
}

func (f *Feed) append(e Entry) {
	if len(f.Entries) >= feedMax {
		n := copy(f.Entries, f.Entries[feedMax/4:])
		f.Entries, f.Dropped = f.Entries[:n], f.Dropped+feedMax/4
	}
	f.Entries = append(f.Entries, e)
}

// flaps tells which events count as a change of health or state. Guests come and go as they please.
func flaps(e *client.Event) bool {
	switch e.Kind {
	case client.InstanceHealth, client.InstanceState, client.InstanceResurrected, client.InstanceGone,
		client.PartitionState, client.PartitionOwnerHealth:
		return true
	case client.MemberState, client.MemberGone:
		return !client.IsGuest(e.ID)
	default:
		return false
	}
}

// count adds a flap to its slot. Slots older than the oldest kept are not
// counted any more, gaps are filled with nothing.
func (f *Feed) count(at time.Time) {
	f.Total++
	slot := at.UnixNano() / int64(FlapSlot)
	if len(f.flaps) == 0 {
		f.first = slot
	}
	if ahead := slot - f.first - int64(len(f.flaps)) + 1; ahead > flapSlots {
		f.flaps, f.first = f.flaps[:0], slot
	}
	for f.first+int64(len(f.flaps)) <= slot {
		f.flaps = append(f.flaps, 0)
	}
	if over := len(f.flaps) - flapSlots; over > 0 {
		f.flaps, f.first = f.flaps[over:], f.first+int64(over)
	}
	if slot >= f.first {
		f.flaps[slot-f.first]++
	}
}

// Flaps is the number of flaps in the n slots up to the one of now, oldest
// first.
func (f *Feed) Flaps(now time.Time, n int) []int {
	out := make([]int, max(n, 0))
	from := now.UnixNano()/int64(FlapSlot) - int64(n) + 1
	for i := range out {
		if at := from + int64(i) - f.first; at >= 0 && at < int64(len(f.flaps)) {
			out[i] = f.flaps[at]
		}
	}
	return out
}
