package widget

import "math"

// Plot is a field of dots on a canvas: two across and four down in each cell
// where the theme allows braille patterns, one in the middle of each cell
// where it does not. A cell has one style: the one of the loudest dot in it.
type Plot struct {
	canvas Canvas
	bits   []uint8
	styles []Style
	loud   []int8
	marks  []string
}

// NewPlot makes an empty plot that covers the canvas.
func NewPlot(c Canvas) *Plot {
	n := c.W * c.H
	return &Plot{canvas: c, bits: make([]uint8, n), styles: make([]Style, n), loud: make([]int8, n), marks: make([]string, n)}
}

// brailleBit[y][x] is the bit of a dot in a braille pattern.
var brailleBit = [4][2]uint8{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

// Dot sets a dot at (x, y) in dots: 2·W across, 4·H down. A louder style takes
// the cell over from a quieter one. mark is drawn in place of the dots where
// the theme has no braille.
func (p *Plot) Dot(x, y float64, st Style, loud int8, mark string) {
	dx, dy := int(math.Floor(x)), int(math.Floor(y))
	cx, cy := dx>>1, dy>>2
	if dx < 0 || dy < 0 || cx >= p.canvas.W || cy >= p.canvas.H {
		return
	}
	i := cy*p.canvas.W + cx
	if p.bits[i] == 0 || loud >= p.loud[i] {
		p.styles[i], p.loud[i], p.marks[i] = st, loud, mark
	}
	p.bits[i] |= brailleBit[dy&3][dx&1]
}

// Draw puts the dots on the canvas; cells without dots are left alone.
func (p *Plot) Draw() {
	braille := p.canvas.theme().Glyph.Braille
	for i, bits := range p.bits {
		if bits == 0 {
			continue
		}
		text := p.marks[i]
		if braille {
			text = string(rune(0x2800 + int(bits)))
		}
		p.canvas.Text(i%p.canvas.W, i/p.canvas.W, p.styles[i], text)
	}
}
