package query

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"testing"
)

// An expression that is watched matches as any other, whether or not it is large enough to be watched.
func TestWatchedMatchesAlike(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, expr := range []string{"^a*$", "^(?s:.*b.*)$", "(a|b|é)+c?$", "^(.*a){3}$", "x", "^[^é]*$", "(ab){40}", "^(.*a){40}$", "\\bab\\b"} {
		re := regexp.MustCompile(expr)
		w := newWatched(re)
		for range 60 {
			text := make([]byte, 0, 1<<13)
			for range rng.IntN(1 << rng.IntN(14)) {
				text = append(text, []string{"a", "b", "ab", "é", "\n", "\xff"}[rng.IntN(6)]...)
			}
			if got, want := w.match(text), re.Match(text); got != want {
				t.Errorf("%s on %d bytes: %v, want %v", expr, len(text), got, want)
			}
		}
	}
}

// What is done after the end is counted in looks: every muchWork of instructions times bytes is one.
func TestWatchedStops(t *testing.T) {
	text := bytes.Repeat([]byte("a"), 1<<12)
	w := newWatched(regexp.MustCompile("^(?:(.*a){400}b)$"))
	all := &after{t.Context(), 1 << 40}
	w.during(all)
	w.match(text)
	looks := 1<<40 - all.left
	if most := w.size * len(text) / muchWork; looks < most/2 || looks > 2*most {
		t.Fatalf("%d looks in one match of %d units of work", looks, most)
	}
	for left := range looks {
		ctx := &after{t.Context(), left}
		w := newWatched(w.re)
		w.during(ctx)
		if w.match(text) || !w.over.Load() || ctx.left != -1 {
			t.Errorf("after %d looks of %d: over %v, left %d", left, looks, w.over.Load(), ctx.left)
		}
		if w.match(text) || ctx.left != -1 {
			t.Errorf("after the end: %d", ctx.left)
		}
	}
	small := newWatched(regexp.MustCompile("^(?:.*ab?c.*)$"))
	ctx := &after{t.Context(), 0}
	small.during(ctx)
	tried := 0
	for ; !small.over.Load() && tried < 1<<20; tried++ {
		small.match(fmt.Appendf(text[:0], "%0200d", tried))
	}
	if tried > muchWork/200 {
		t.Errorf("%d small matches after the end", tried)
	}
}
