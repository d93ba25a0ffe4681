// Package widget holds the drawing pieces of the dashboard: a canvas of cells,
// a palette, a braille plot and a few small shapes (boxes, bars, sparklines,
// scrolling lists).
//
// Start with [Canvas]: it is a rectangle of styled cells, cut into smaller
// rectangles with [Canvas.Sub], drawn on with [Canvas.Text], and turned into
// one styled string by [Canvas.String]. Colours and symbols come from a
// [Theme], so that the same drawing code serves dark, light, monochrome and
// plain ASCII terminals.
//
// Nothing here reads a clock, does I/O, or knows what a ring is.
package widget

import "strconv"

// Color is one terminal colour. The zero value is the terminal's own default.
type Color uint32

const (
	colorRGB  Color = 1 << 24
	colorANSI Color = 2 << 24
)

// RGB is a 24-bit colour written as 0xRRGGBB.
func RGB(hex uint32) Color { return colorRGB | Color(hex&0xffffff) }

// ANSI is one of the sixteen colours a terminal's user has chosen.
func ANSI(n uint8) Color { return colorANSI | Color(n&15) }

// Attr is a set of text attributes.
type Attr uint8

// The attributes a cell can have; they combine with |.
const (
	Bold Attr = 1 << iota
	Faint
	Underline
	Reverse
	Strike
)

// Style is how one cell looks. Styles are values and compare with ==.
type Style struct {
	FG, BG Color
	Attr   Attr
}

// With adds attributes.
func (s Style) With(a Attr) Style { s.Attr |= a; return s }

// On puts the style on another style's background. A reversed background, as
// where there are few colours, reverses the text too and takes its colour away:
// it would be the colour of the paper.
func (s Style) On(back Style) Style {
	s.BG = back.BG
	s.Attr |= back.Attr & (Reverse | Underline)
	if back.Attr&Reverse != 0 {
		s.FG = back.FG
	}
	return s
}

// appendSGR appends the escape sequence that switches a terminal from its
// default style to s. The default style needs none.
func (s Style) appendSGR(dst []byte) []byte {
	if s == (Style{}) {
		return dst
	}
	dst = append(dst, "\x1b["...)
	start := len(dst)
	for i, code := range [...]string{"1", "2", "4", "7", "9"} {
		if s.Attr&(1<<i) != 0 {
			dst = append(append(dst, code...), ';')
		}
	}
	dst = s.FG.appendCode(dst, false)
	dst = s.BG.appendCode(dst, true)
	if len(dst) > start {
		dst = dst[:len(dst)-1]
	}
	return append(dst, 'm')
}

// appendCode appends the parameters that select c as fore- or background.
func (c Color) appendCode(dst []byte, background bool) []byte {
	switch c &^ 0xffffff {
	case colorRGB:
		dst = append(dst, "38;2;"...)
		if background {
			dst[len(dst)-5] = '4'
		}
		for shift := 16; shift >= 0; shift -= 8 {
			dst = strconv.AppendUint(dst, uint64(c>>shift&0xff), 10)
			dst = append(dst, ';')
		}
	case colorANSI:
		n := uint64(c & 15)
		code := 30 + n
		if n >= 8 {
			code = 90 + n - 8
		}
		if background {
			code += 10
		}
		dst = append(strconv.AppendUint(dst, code, 10), ';')
	}
	return dst
}
