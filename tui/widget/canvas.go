package widget

import (
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// cell is one place on the screen. An empty text is a blank; a cell covered by
// the wide character to its left has covered set.
type cell struct {
	text    string
	style   Style
	covered bool
}

// Canvas is a rectangle of cells. Copies share the cells they were cut from, so
// a sub-canvas draws into its parent. Drawing outside the rectangle is clipped,
// and a canvas with no room is valid: everything drawn on it disappears.
// Not safe for concurrent use.
type Canvas struct {
	cells      []cell
	stride     int
	x0, y0     int
	W, H       int
	Theme      *Theme
	background Style
}

// NewCanvas makes a blank canvas of w × h cells.
func NewCanvas(w, h int, t *Theme) Canvas {
	w, h = max(w, 0), max(h, 0)
	return Canvas{cells: make([]cell, w*h), stride: w, W: w, H: h, Theme: t}
}

// Anew makes a blank canvas of w × h cells in the memory of c, where that is large
// enough. Nothing may be drawn on c, or on its parts, afterwards.
func (c Canvas) Anew(w, h int, t *Theme) Canvas {
	w, h = max(w, 0), max(h, 0)
	if w*h > cap(c.cells) {
		return NewCanvas(w, h, t)
	}
	cells := c.cells[:w*h]
	clear(cells)
	return Canvas{cells: cells, stride: w, W: w, H: h, Theme: t}
}

// Sub cuts the rectangle at (x, y) of size w × h, clipped to the canvas.
func (c Canvas) Sub(x, y, w, h int) Canvas {
	x, y = min(max(x, 0), c.W), min(max(y, 0), c.H)
	c.W, c.H = min(max(w, 0), c.W-x), min(max(h, 0), c.H-y)
	c.x0, c.y0 = c.x0+x, c.y0+y
	return c
}

// Top cuts the first n lines; Below what remains under them.
func (c Canvas) Top(n int) Canvas { return c.Sub(0, 0, c.W, n) }

// Below cuts everything under the first n lines.
func (c Canvas) Below(n int) Canvas { return c.Sub(0, n, c.W, c.H-n) }

// Inset cuts dx columns from both sides.
func (c Canvas) Inset(dx int) Canvas { return c.Sub(dx, 0, c.W-2*dx, c.H) }

// Fill blanks the canvas with a background, which later text keeps when its own
// style has none.
func (c *Canvas) Fill(s Style) {
	c.background = s
	for y := range c.H {
		for x := range c.W {
			*c.at(x, y) = cell{style: s}
		}
	}
}

func (c Canvas) at(x, y int) *cell { return &c.cells[(c.y0+y)*c.stride+c.x0+x] }

// Text writes s at (x, y) and returns the column after it. What does not fit is
// cut off. Control characters, which a name from the network may carry, are
// drawn as a middle dot and never reach the terminal.
func (c Canvas) Text(x, y int, st Style, s string) int {
	for len(s) > 0 {
		text, w := nextCluster(s)
		s = s[len(text):]
		if g := &c.theme().Glyph; w < 0 || g.SevenBit && (len(text) > 1 || text[0] >= utf8.RuneSelf) {
			text, w = g.Unprintable, 1
		}
		if w == 0 {
			continue
		}
		if x >= c.W {
			return x
		}
		c.put(x, y, st, text, w)
		x += w
	}
	return x
}

// put stores one grapheme; a wide one that would hang over the edge is dropped.
func (c Canvas) put(x, y int, st Style, text string, w int) {
	if x < 0 || y < 0 || y >= c.H || x+w > c.W {
		return
	}
	if c.background != (Style{}) && st.BG == 0 {
		st = st.On(c.background)
	}
	c.split(x, y)
	c.split(x+w, y)
	*c.at(x, y) = cell{text: text, style: st}
	for i := 1; i < w; i++ {
		*c.at(x+i, y) = cell{style: st, covered: true}
	}
}

// split blanks a wide character that lies across the left edge of a cell: half
// of it is about to be covered.
func (c Canvas) split(x, y int) {
	row := c.cells[(c.y0+y)*c.stride : (c.y0+y+1)*c.stride]
	at := c.x0 + x
	if at >= len(row) || !row[at].covered {
		return
	}
	head := at
	for head > 0 && row[head].covered {
		head--
	}
	for i := head; i < len(row) && (i == head || row[i].covered); i++ {
		row[i] = cell{style: row[i].style}
	}
}

// nextCluster splits the first grapheme cluster off s. The width is -1 for
// something that must not be printed.
func nextCluster(s string) (string, int) {
	if b := s[0]; b < utf8.RuneSelf && (len(s) == 1 || s[1] < utf8.RuneSelf) {
		if b < ' ' || b == 0x7f {
			return s[:1], -1
		}
		return s[:1], 1
	}
	n := visible(s)
	if n == 0 {
		_, n = utf8.DecodeRuneInString(s)
		return s[:n], -1
	}
	return ansi.FirstGraphemeCluster(s[:n], ansi.GraphemeWidth)
}

// longestCluster bounds how far is looked for the end of a grapheme cluster.
const longestCluster = 64

// visible is the length of the head of s before anything that must not be
// printed, so that such bytes never become part of a cluster.
func visible(s string) int {
	for i, r := range s {
		if hidden(r) || i >= longestCluster {
			return i
		}
	}
	return len(s)
}

// hidden reports runes that would act on the terminal or reorder the text
// around them instead of being seen.
func hidden(r rune) bool {
	switch {
	case r < ' ', r >= 0x7f && r < 0xa0, r == utf8.RuneError:
		return true
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f:
		return true
	}
	return false
}

// Width is the number of columns that s takes on a canvas with a Unicode theme;
// with an ASCII theme it never takes more.
func Width(s string) int {
	n := 0
	for len(s) > 0 {
		text, w := nextCluster(s)
		s = s[len(text):]
		if w < 0 {
			w = 1
		}
		n += w
	}
	return n
}

// FitEnd shortens s to w columns as Fit does, but leaves its end.
func (c Canvas) FitEnd(s string, w int) string {
	if w <= 0 || Width(s) <= w {
		return c.Fit(s, w)
	}
	mark := c.theme().Glyph.Ellipsis
	for s != "" && Width(s)+Width(mark) > w {
		text, _ := nextCluster(s)
		s = s[len(text):]
	}
	return c.Fit(mark+s, w)
}

// Fit shortens s to w columns, ending in the theme's ellipsis when cut.
func (c Canvas) Fit(s string, w int) string {
	if w <= 0 {
		return ""
	}
	if len(s) <= w || Width(s) <= w {
		return s
	}
	mark := c.theme().Glyph.Ellipsis
	room := w - Width(mark)
	n, used := 0, 0
	for n < len(s) {
		text, tw := nextCluster(s[n:])
		tw = max(tw, -tw)
		if used+tw > room {
			break
		}
		n, used = n+len(text), used+tw
	}
	if room < 0 {
		mark = ""
	}
	return s[:n] + mark
}

// In writes s into w columns from (x, y), shortened if need be, and returns
// the column after the field, so that the next column lines up.
func (c Canvas) In(x, y, w int, st Style, s string) int {
	c.Text(x, y, st, c.Fit(s, w))
	return x + w
}

// Right writes s so that it ends at column x+w.
func (c Canvas) Right(x, y, w int, st Style, s string) int {
	s = c.Fit(s, w)
	c.Text(x+w-Width(s), y, st, s)
	return x + w
}

// Center writes s in the middle of the line.
func (c Canvas) Center(y int, st Style, s string) {
	s = c.Fit(s, c.W)
	c.Text((c.W-Width(s))/2, y, st, s)
}

// Span is a piece of text in one style, for lines of mixed style.
type Span struct {
	Style Style
	Text  string
}

// Spans writes pieces one after the other and returns the column after them.
func (c Canvas) Spans(x, y int, parts ...Span) int {
	for _, p := range parts {
		x = c.Text(x, y, p.Style, p.Text)
	}
	return x
}

// Restyle changes the style of a row of cells in place, keeping their text and
// their colours where the new style has none. It paints selections.
func (c Canvas) Restyle(y int, back Style) {
	if y < 0 || y >= c.H {
		return
	}
	for x := range c.W {
		cl := c.at(x, y)
		cl.style = cl.style.On(back)
		if back.FG != 0 && cl.style.FG == 0 {
			cl.style.FG = back.FG
		}
		cl.style.Attr |= back.Attr
	}
}

// Dim draws everything on the canvas in one quiet style: what is stale, or what
// lies behind a dialog.
func (c Canvas) Dim(st Style) {
	for y := range c.H {
		for x := range c.W {
			cl := c.at(x, y)
			if cl.text == "▀" && cl.style.BG != 0 { // two dots of a picture
				cl.text, cl.style.BG = "█", 0
			}
			cl.style.FG, cl.style.Attr = st.FG, cl.style.Attr&Reverse|st.Attr
		}
	}
}

// Wrap splits s into lines of at most w columns at spaces; a longer word is cut.
func Wrap(s string, w int) []string {
	if w <= 0 {
		return nil
	}
	var lines []string
	for _, para := range strings.Split(s, "\n") {
		line := ""
		for _, word := range strings.Fields(para) {
			for Width(word) > w {
				head := cut(word, w-Width(line)-min(len(line), 1), line == "")
				if head == "" {
					lines, line = append(lines, line), ""
					continue
				}
				lines, line = append(lines, join(line, head)), ""
				word = word[len(head):]
			}
			if line != "" && Width(line)+1+Width(word) > w {
				lines, line = append(lines, line), ""
			}
			line = join(line, word)
		}
		lines = append(lines, line)
	}
	return lines
}

func join(line, word string) string {
	if line == "" {
		return word
	}
	return line + " " + word
}

// cut is the longest head of s that fits in w columns; with some, it is at
// least one cluster, so that there is progress on the narrowest line.
func cut(s string, w int, some bool) string {
	n, used := 0, 0
	for n < len(s) {
		text, tw := nextCluster(s[n:])
		tw = max(tw, -tw)
		if used+tw > w && (n > 0 || !some) {
			break
		}
		n, used = n+len(text), used+tw
	}
	return s[:n]
}

// theme guards against a canvas made without one.
func (c Canvas) theme() *Theme {
	if c.Theme == nil {
		return &Theme{Glyph: asciiGlyphs}
	}
	return c.Theme
}

// String is the canvas as styled text: one line per row, blanks at the end of
// a row left out, each row ending in the default style.
func (c Canvas) String() string {
	out := make([]byte, 0, c.W*c.H*2)
	for y := range c.H {
		if y > 0 {
			out = append(out, '\n')
		}
		out = c.appendRow(out, y)
	}
	return string(out)
}

func (c Canvas) appendRow(out []byte, y int) []byte {
	end := c.W
	for end > 0 {
		cl := c.at(end-1, y)
		if cl.covered || cl.style.BG != 0 || cl.style.Attr&(Reverse|Underline|Strike) != 0 || cl.text != "" && cl.text != " " {
			break
		}
		end--
	}
	var now Style
	for x := range end {
		cl := c.at(x, y)
		if cl.covered {
			continue
		}
		if cl.style != now {
			if now != (Style{}) {
				out = append(out, "\x1b[m"...)
			}
			out = cl.style.appendSGR(out)
			now = cl.style
		}
		if cl.text == "" {
			out = append(out, ' ')
		} else {
			out = append(out, cl.text...)
		}
	}
	if now != (Style{}) {
		out = append(out, "\x1b[m"...)
	}
	return out
}
