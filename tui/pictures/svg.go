//go:build unix

package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// paper is what a terminal has without colours of the program: background, text,
// and the sixteen colours that its user chose.
type paper struct {
	back, text string
	sixteen    [16]string
}

var dark = paper{"#1b1f26", "#d3d7de", [16]string{"#1b1f26", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ced8",
	"#6b7280", "#f0717a", "#a9d18e", "#f2d08b", "#7db4f5", "#d7a3e8", "#6cc7d6", "#ffffff"}}

var light = paper{"#fafafa", "#2a303a", [16]string{"#2a303a", "#b9252f", "#2f7d3a", "#9a6400", "#1d5fb8", "#8242b0", "#12707f", "#bcc3cd",
	"#646d7b", "#d0454f", "#4d9a58", "#b57d1a", "#3b7fd6", "#a05ccf", "#2b8f9e", "#10141a"}}

// color is one of 256 colours as a hexadecimal one.
func (p *paper) color(n int) string {
	switch {
	case n < 16:
		return p.sixteen[n]
	case n < 232:
		n -= 16
		level := func(v int) int {
			if v == 0 {
				return 0
			}
			return 55 + 40*v
		}
		return fmt.Sprintf("#%02x%02x%02x", level(n/36), level(n/6%6), level(n%6))
	default:
		g := 8 + 10*(n-232)
		return fmt.Sprintf("#%02x%02x%02x", g, g, g)
	}
}

// style is how text is written from here on; empty colours are the paper's.
type style struct {
	fg, bg                                string
	bold, faint, underline, reverse, gone bool
}

// apply takes in the parameters of one SGR sequence.
func (s *style) apply(p *paper, params ansi.Params) {
	if len(params) == 0 {
		*s = style{}
	}
	for i := 0; i < len(params); i++ {
		n := params[i].Param(0)
		switch {
		case n == 38 || n == 48:
			var c string
			c, i = extended(p, params, i)
			if n == 38 {
				s.fg = c
			} else {
				s.bg = c
			}
		case n >= 30 && n <= 37:
			s.fg = p.sixteen[n-30]
		case n >= 90 && n <= 97:
			s.fg = p.sixteen[n-82]
		case n >= 40 && n <= 47:
			s.bg = p.sixteen[n-40]
		case n >= 100 && n <= 107:
			s.bg = p.sixteen[n-92]
		default:
			s.attribute(n)
		}
	}
}

func (s *style) attribute(n int) {
	switch n {
	case 0:
		*s = style{}
	case 1:
		s.bold = true
	case 2:
		s.faint = true
	case 4:
		s.underline = true
	case 7:
		s.reverse = true
	case 9:
		s.gone = true
	case 22:
		s.bold, s.faint = false, false
	case 24:
		s.underline = false
	case 27:
		s.reverse = false
	case 29:
		s.gone = false
	case 39:
		s.fg = ""
	case 49:
		s.bg = ""
	}
}

// extended reads 38;2;r;g;b or 38;5;n from i on and returns the last index read.
func extended(p *paper, params ansi.Params, i int) (hex string, last int) {
	at := func(k int) int {
		if k < len(params) {
			return params[k].Param(0)
		}
		return 0
	}
	if at(i+1) == 2 {
		return fmt.Sprintf("#%02x%02x%02x", at(i+2)&255, at(i+3)&255, at(i+4)&255), i + 4
	}
	return p.color(at(i+2) & 255), i + 2
}

// cell is one character of the screen.
type cell struct {
	text  string
	width int
	style style
}

// cells reads a captured screen.
func cells(p *paper, screen string) [][]cell {
	var rows [][]cell
	var now style
	parser := ansi.NewParser()
	for line := range strings.SplitSeq(strings.TrimRight(screen, "\n"), "\n") {
		var row []cell
		var state byte
		for len(line) > 0 {
			seq, width, n, next := ansi.DecodeSequence(line, state, parser)
			state, line = next, line[n:]
			switch {
			case width > 0:
				row = append(row, cell{seq, width, now})
			case ansi.Cmd(parser.Command()).Final() == 'm' && strings.HasPrefix(seq, "\x1b["):
				now.apply(p, parser.Params())
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// Sizes of a cell in the picture, and the margin around all.
const (
	cellW, cellH = 8.4, 18.0
	fontSize     = 14
	margin       = 14.0
)

// picture collects the boxes and texts of a screen.
type picture struct {
	paper *paper
	boxes strings.Builder
	texts strings.Builder
	// pending are boxes of the row by colour, so that neighbours are joined; run is the text that is being joined.
	pending []box
	run     []cell
	runX    float64
	runY    float64
	runFG   string
}

type box struct {
	x, y, w, h float64
	fill       string
}

// svg draws a captured screen.
func svg(p *paper, screen, title string) string {
	rows := cells(p, screen)
	pic := picture{paper: p}
	wide := 0
	for y, row := range rows {
		x := 0
		for _, c := range row {
			pic.cell(float64(x)*cellW, float64(y)*cellH, c)
			x += c.width
		}
		wide = max(wide, x)
		pic.endRun()
		pic.endBoxes()
	}
	w, h := float64(wide)*cellW+2*margin, float64(len(rows))*cellH+2*margin
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %s %s" role="img"><title>%s</title>`+"\n", w, h, num(w), num(h), escape(title))
	fmt.Fprintf(&out, `<rect width="100%%" height="100%%" rx="8" fill="%s"/><g transform="translate(%s %s)">`+"\n", p.back, num(margin), num(margin))
	fmt.Fprintf(&out, "<g shape-rendering=\"crispEdges\">\n%s</g>\n", pic.boxes.String())
	fmt.Fprintf(&out, `<g font-family="'DejaVu Sans Mono','Cascadia Mono',Menlo,Consolas,monospace" font-size="%d" xml:space="preserve">`+"\n%s</g></g></svg>\n", fontSize, pic.texts.String())
	return out.String()
}

// colors are what a style looks like; bg is empty where the paper shows.
func (pic *picture) colors(s style) (fg, bg string) {
	fg, bg = s.fg, s.bg
	if fg == "" {
		fg = pic.paper.text
	}
	if s.reverse {
		if bg == "" {
			bg = pic.paper.back
		}
		fg, bg = bg, fg
	}
	return fg, bg
}

func (pic *picture) cell(x, y float64, c cell) {
	fg, bg := pic.colors(c.style)
	if bg != "" {
		pic.box(box{x, y, cellW * float64(c.width), cellH, bg})
	}
	r := []rune(c.text)[0]
	if shapes := blocks(r, x, y); shapes != nil && len(c.text) == len(string(r)) {
		pic.endRun()
		for _, s := range shapes {
			s.fill = fg
			pic.box(s)
		}
		return
	}
	if line := rounded(r, x, y); line != "" {
		pic.endRun()
		fmt.Fprintf(&pic.texts, `<path d="%s" fill="none" stroke="%s" stroke-width="1.2"/>`+"\n", line, fg)
		return
	}
	if r == ' ' && !c.style.underline {
		pic.endRun()
		return
	}
	if len(pic.run) > 0 && (pic.runFG != fg || pic.run[0].style != c.style || c.width != 1 || pic.run[0].width != 1) {
		pic.endRun()
	}
	if len(pic.run) == 0 {
		pic.runX, pic.runY, pic.runFG = x, y, fg
	}
	pic.run = append(pic.run, c)
}

// box adds a box, joined with the one before where they touch.
func (pic *picture) box(b box) {
	if n := len(pic.pending); n > 0 {
		for i := n - 1; i >= max(0, n-3); i-- { // a cell has up to three boxes
			l := &pic.pending[i]
			if l.fill == b.fill && l.y == b.y && l.h == b.h && l.x+l.w > b.x-.01 && l.x+l.w < b.x+.01 {
				l.w += b.w
				return
			}
		}
	}
	pic.pending = append(pic.pending, b)
}

func (pic *picture) endBoxes() {
	for _, b := range pic.pending {
		fmt.Fprintf(&pic.boxes, `<path fill="%s" d="M%s %sh%sv%sh-%sz"/>`+"\n", b.fill, num(b.x), num(b.y), num(b.w), num(b.h), num(b.w))
	}
	pic.pending = pic.pending[:0]
}

// endRun writes the text that was joined, stretched to its cells whatever font
// is found.
func (pic *picture) endRun() {
	if len(pic.run) == 0 {
		return
	}
	s, text, width := pic.run[0].style, "", 0
	for _, c := range pic.run {
		text += c.text
		width += c.width
	}
	more := ""
	if s.bold {
		more += ` font-weight="bold"`
	}
	if s.faint {
		more += ` opacity=".6"`
	}
	switch {
	case s.underline:
		more += ` text-decoration="underline"`
	case s.gone:
		more += ` text-decoration="line-through"`
	}
	fmt.Fprintf(&pic.texts, `<text x="%s" y="%s" textLength="%s" fill="%s"%s>%s</text>`+"\n",
		num(pic.runX), num(pic.runY+cellH*.75), num(float64(width)*cellW), pic.runFG, more, escape(text))
	pic.run = pic.run[:0]
}

// num is a coordinate with no more digits than it needs.
func num(v float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', 2, 64), "0"), ".")
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
