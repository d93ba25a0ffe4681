package query

import (
	"context"
	"io"
	"regexp"
	"regexp/syntax"
	"sync/atomic"
	"unicode/utf8"
)

// watched is a regular expression that is left when its query is over, in the middle of a text if need be: the time of
// one match grows with the expression times the text, and a dictionary has many texts. Of a query that is over the
// answers are worthless, so they are simply false. Safe for concurrent use.
type watched struct {
	re    *regexp.Regexp
	size  int // instructions
	spent atomic.Int64
	over  atomic.Bool
	ctx   atomic.Pointer[context.Context] // of the query
}

// Work is counted in instructions times bytes; one takes up to about 10 ns. Less than littleWork is not counted, the
// loops around notice that in time. After muchWork the context is looked at.
const (
	littleWork = 1 << 10
	muchWork   = 1 << 18
)

func newWatched(re *regexp.Regexp) *watched {
	w := &watched{re: re, size: 1}
	if tree, err := syntax.Parse(re.String(), syntax.Perl); err == nil {
		if prog, err := syntax.Compile(tree.Simplify()); err == nil {
			w.size = len(prog.Inst)
		}
	}
	return w
}

// during names the context of the query.
func (w *watched) during(ctx context.Context) {
	if w != nil {
		w.ctx.Store(&ctx)
	}
}

// match reports whether the text matches; false when the query is over.
func (w *watched) match(text []byte) bool {
	work := int64(w.size) * int64(len(text))
	switch {
	case work < littleWork:
		return w.re.Match(text)
	case work < muchWork:
		return !w.stop(work) && w.re.Match(text)
	}
	return !w.over.Load() && w.re.MatchReader(&watchedText{w: w, text: text}) && !w.over.Load()
}

// stop counts work and reports that the query is over.
func (w *watched) stop(work int64) bool {
	if !w.over.Load() && w.spent.Add(work) >= muchWork {
		w.spent.Store(0)
		if ctx := w.ctx.Load(); ctx != nil && (*ctx).Err() != nil {
			w.over.Store(true)
		}
	}
	return w.over.Load()
}

// watchedText is a text that ends when the query is over.
type watchedText struct {
	w    *watched
	text []byte
	done int64 // bytes since the last look
}

var _ io.RuneReader = (*watchedText)(nil)

// ReadRune implements io.RuneReader.
func (t *watchedText) ReadRune() (rune, int, error) {
	if len(t.text) == 0 {
		return 0, 0, io.EOF
	}
	r, n := utf8.DecodeRune(t.text)
	t.text = t.text[n:]
	if t.done += int64(n); t.done*int64(t.w.size) >= muchWork {
		if t.w.stop(t.done * int64(t.w.size)) {
			t.text = nil
			return 0, 0, io.EOF
		}
		t.done = 0
	}
	return r, n, nil
}
