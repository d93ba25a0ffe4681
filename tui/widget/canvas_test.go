package widget

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

var sgr = regexp.MustCompile("\x1b\\[[0-9;]*m")

// FuzzText draws any text anywhere: nothing but colour sequences and visible
// text may come out, and no line may be wider than the canvas.
func FuzzText(f *testing.F) {
	f.Add("plain", 3, 2, 10)
	f.Add("\x1b[31mred\x07\u202eabc", -2, 0, 8)
	f.Add("日本語 👩‍👩‍👧 e\u0301", 1, 1, 7)
	f.Add("\xff\xfe\x9b31m", 0, 0, 4)
	f.Fuzz(func(t *testing.T, s string, x, y, w int) {
		w = w&31 + 1
		for _, theme := range []*Theme{Dark(), Mono().ASCII()} {
			c := NewCanvas(w, 4, theme)
			c.Text(x%40, y%6, theme.Bad, s)
			c.In(2, 1, w/2, theme.Good, s)
			c.Right(0, 2, w, theme.Text, s)
			c.Center(3, theme.Text, s)
			for _, line := range strings.Split(c.String(), "\n") {
				plain := sgr.ReplaceAllString(line, "")
				if got := Width(plain); got > w {
					t.Fatalf("line is %d wide, canvas %d: %q", got, w, plain)
				}
				for _, r := range plain {
					if hidden(r) || theme.Glyph.SevenBit && r > 0x7e {
						t.Fatalf("%q came out in %q", r, line)
					}
				}
			}
		}
	})
}

// FuzzWrap checks that lines fit, and that no word is lost.
func FuzzWrap(f *testing.F) {
	f.Add("the quick brown fox", 7)
	f.Add("averylongwordthatmustbecut now", 5)
	f.Add("日本語日本語\nx", 3)
	f.Fuzz(func(t *testing.T, s string, w int) {
		w = w&31 + 2
		lines := Wrap(s, w)
		for _, l := range lines {
			if Width(l) > w {
				t.Fatalf("%q is wider than %d", l, w)
			}
		}
		squash := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if utf8.ValidString(s) && squash(strings.Join(lines, " ")) != squash(s) {
			t.Fatalf("%q became %q", s, lines)
		}
	})
}

func TestFit(t *testing.T) {
	c := NewCanvas(10, 1, Dark())
	for _, x := range []struct {
		in   string
		w    int
		want string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"abcd", 1, "…"}, {"abcd", 0, ""}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"}, {"", 4, ""},
	} {
		if got := c.Fit(x.in, x.w); got != x.want {
			t.Errorf("Fit(%q, %d) = %q, want %q", x.in, x.w, got, x.want)
		}
	}
}

// TestSub draws in cut-outs: outside of them nothing changes.
func TestSub(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		c := NewCanvas(20, 8, Mono())
		x, y, w, h := rng.IntN(30)-5, rng.IntN(12)-2, rng.IntN(30)-5, rng.IntN(12)-2
		s := c.Sub(x, y, w, h)
		for line := -2; line < 12; line++ {
			s.Text(rng.IntN(40)-20, line, Style{}, strings.Repeat("#", 60))
		}
		for cy, line := range strings.Split(c.String(), "\n") {
			for cx, r := range line {
				inside := cx >= max(x, 0) && cx < max(x, 0)+w && cy >= max(y, 0) && cy < max(y, 0)+h
				if r == '#' && !inside {
					t.Fatalf("Sub(%d,%d,%d,%d) drew at %d,%d", x, y, w, h, cx, cy)
				}
			}
		}
	}
}

// TestStringIsWhatWasDrawn compares the runs of styles with an ordinary parser.
func TestStringIsWhatWasDrawn(t *testing.T) {
	c := NewCanvas(12, 2, Dark())
	c.Text(0, 0, Style{FG: RGB(0xff0000), Attr: Bold}, "ab")
	c.Text(4, 0, Style{BG: ANSI(12)}, "cd")
	c.Text(0, 1, Style{FG: ANSI(3)}, "世界")
	want := "\x1b[1;38;2;255;0;0mab\x1b[m  \x1b[104mcd\x1b[m\n\x1b[33m世界\x1b[m"
	if got := c.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := ansi.Strip(c.String()); got != "ab  cd\n世界" {
		t.Errorf("plain text is %q", got)
	}
}

func TestMix(t *testing.T) {
	if got := Mix(RGB(0), RGB(0xffffff), 0.5); got != RGB(0x808080) {
		t.Errorf("half black, half white is %x", got)
	}
	if got := Mix(ANSI(1), RGB(0xffffff), 0.5); got != ANSI(1) {
		t.Errorf("a palette colour mixed to %x", got)
	}
}

func TestSpark(t *testing.T) {
	c := NewCanvas(8, 1, Mono().ASCII())
	c.Spark(0, 0, 8, []int{0, 1, 0, 10, 5}, Style{})
	if got := sgr.ReplaceAllString(c.String(), ""); got != "____._#-" {
		t.Errorf("spark is %q", got)
	}
}
