package query

import (
	"bytes"
	"math/rand"
	"regexp"
	"testing"
)

// TestRareSearch compares with bytes.Index on texts of few and of many different bytes.
func TestRareSearch(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for round := range 2000 {
		letters := 1 + r.Intn(30)
		text := func(n int) []byte {
			b := make([]byte, n)
			for i := range b {
				b[i] = byte('a' + r.Intn(letters))
			}
			return b
		}
		in := text(r.Intn(300))
		want := text(2 + r.Intn(4))
		if f := newRareSearch(want, in); f.index(in) != bytes.Index(in, want) {
			t.Fatalf("round %d: %q in %q: %d, want %d", round, want, in, f.index(in), bytes.Index(in, want))
		}
	}
}

// TestCompileMatchesWhole compares with the plain form on texts with line ends.
func TestCompileMatchesWhole(t *testing.T) {
	texts := []string{"", "a", "ab", "ba", "aba", "b", "a\nb", "\na", "a\n", "xaxbx", "A", "ab\n"}
	for _, expr := range []string{"", "a", ".*", ".*.*", ".*a", "a.*", ".*a.*", ".*?a.*?", ".*a.*b.*", "a|b.*", ".*a|b", "(.*)a(.*)", "(?i).*a.*", "(?-s).*a.*", ".+a.*", ".*^a", "a$.*", "[^b].*", ".*\\bb.*"} {
		plain := regexp.MustCompile("^(?s:" + expr + ")$")
		ours, err := compile(expr)
		if err != nil {
			t.Fatal(expr, err)
		}
		for _, text := range texts {
			if got, want := ours.MatchString(text), plain.MatchString(text); got != want {
				t.Errorf("%q =~ %q: %v, want %v (compiled to %s)", text, expr, got, want, ours)
			}
		}
	}
}
