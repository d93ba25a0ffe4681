package model

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/engine/gossip"
)

// NotFound is an error with the nearest known names as hint.
func NotFound(what, name string, known []string) error {
	hint := "none is known here"
	if near := Nearest(name, known); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, ", ") + "?"
	} else if len(known) > 0 {
		slices.Sort(known)
		hint = "known: " + Some(slices.Compact(known))
	}
	return Fail(CodeNotFound, what+" "+name, hint, "not found in any view")
}

// Nearest returns up to three of the names that differ little from name, nearest first.
func Nearest(name string, names []string) []string {
	type near struct {
		name string
		d    int
	}
	var found []near
	limit := max(2, len(name)/3)
	for _, n := range slices.Compact(slices.Sorted(slices.Values(names))) {
		if d := editDistance(name, n, limit); d <= limit || strings.Contains(n, name) && name != "" {
			found = append(found, near{n, d})
		}
	}
	slices.SortStableFunc(found, func(a, b near) int { return a.d - b.d })
	var out []string
	for i := 0; i < len(found) && i < 3; i++ {
		out = append(out, found[i].name)
	}
	return out
}

// editDistance counts insertions, deletions and replacements; above limit it stops counting.
func editDistance(a, b string, limit int) int {
	if d := len(a) - len(b); d > limit || -d > limit {
		return limit + 1
	}
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := prev[0]
		prev[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost = 1 + min(diag, prev[j], prev[j-1])
			}
			diag, prev[j] = prev[j], cost
		}
	}
	return prev[len(b)]
}

// Short is a quorum in a few characters.
func (q *Quorum) Short() string {
	switch {
	case q == nil:
		return "none"
	case q.Error != "":
		return "lost (" + q.Error + ")"
	case q.OK:
		return fmt.Sprintf("ok (margin %d)", q.Margin)
	default:
		return "lost for " + percent(q.Without) + " of keys"
	}
}

// round prints a duration with two units at most.
func round(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	default:
		return fmt.Sprintf("%ds", d/time.Second)
	}
}

// Age prints a duration as the commands and the dashboard do: 42s, 3m10s, 5h2m, 9d4h, and "-" before.
func Age(d time.Duration) string {
	if d < 0 {
		return "-" + round(-d)
	}
	return round(d)
}

// Decode is a snapshot without judgement: enough to see whether entries are there.
func Decode(v *gossip.View, o Options) *Snapshot {
	s := &Snapshot{Addr: v.From, From: v.From, At: o.Now, contents: newContents(v, o)}
	s.decode(v.Pairs, nil, reuse{})
	return s
}

// Stem is a gossip name without the random part that most products put behind it at each start: "ingester-0-1a2b3c4d" is
// "ingester-0". A name without such a part is its own stem.
func Stem(name string) string {
	cut := strings.LastIndexByte(name, '-')
	if cut <= 0 || len(name)-cut != 9 || strings.Trim(name[cut+1:], "0123456789abcdef") != "" {
		return name
	}
	return name[:cut]
}

// guestPrefix begins the gossip names of observers that join for a while.
const guestPrefix = "ringctl-"

// IsGuest tells whether a gossip name is that of an observer that joined for a while.
func IsGuest(name string) bool { return strings.HasPrefix(name, guestPrefix) }
