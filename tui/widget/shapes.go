package widget

import "strings"

// Box draws a frame with a title in its upper edge and a remark at the right of
// it, and returns the canvas inside.
func (c Canvas) Box(title, remark string) Canvas {
	if c.W < 2 || c.H < 2 {
		return c.Sub(0, 0, 0, 0)
	}
	g, st := &c.theme().Glyph, c.theme().Border
	line := strings.Repeat(g.Horizontal, c.W-2)
	c.Text(0, 0, st, g.TopLeft+line+g.TopRight)
	c.Text(0, c.H-1, st, g.BottomLeft+line+g.BottomRight)
	for y := 1; y < c.H-1; y++ {
		c.Text(0, y, st, g.Vertical)
		c.Text(c.W-1, y, st, g.Vertical)
	}
	if title != "" && c.W > 8 {
		title = c.Fit(title, c.W-6)
		c.Spans(2, 0, Span{Style: c.theme().Title, Text: " " + title + " "})
	}
	if room := c.W - 8 - Width(title); remark != "" && room > 6 {
		remark = " " + c.Fit(remark, room-2) + " "
		c.Text(c.W-2-Width(remark), 0, c.theme().Dim, remark)
	}
	return c.Sub(1, 1, c.W-2, c.H-2)
}

// Rule draws a horizontal line with an optional title in it.
func (c Canvas) Rule(y int, title string) {
	g := &c.theme().Glyph
	c.Text(0, y, c.theme().Border, strings.Repeat(g.Horizontal, c.W))
	if title != "" {
		c.Text(1, y, c.theme().Title, " "+c.Fit(title, c.W-4)+" ")
	}
}

// Bar draws a horizontal bar of w columns, filled to the fraction f, and
// returns the column after it.
func (c Canvas) Bar(x, y, w int, f float64, fill Style) int {
	g := &c.theme().Glyph
	f = min(max(f, 0), 1)
	steps := len(g.Bar)
	parts := int(f*float64(w*steps) + 0.5)
	full, rest := parts/steps, parts%steps
	c.Text(x, y, fill, strings.Repeat(g.Bar[steps-1], full))
	at := x + full
	if rest > 0 {
		at = c.Text(at, y, fill, g.Bar[rest-1])
	}
	c.Text(at, y, c.theme().Faint, strings.Repeat(g.Track, max(x+w-at, 0)))
	return x + w
}

// Spark draws a sparkline of the values in w columns, newest at the right.
// Nothing is a quiet line, something is at least one step.
func (c Canvas) Spark(x, y, w int, values []int, st Style) {
	g := c.theme().Glyph.Spark
	if len(values) > w {
		values = values[len(values)-w:]
	}
	c.Text(x, y, c.theme().Faint, strings.Repeat(g[0], w))
	top := 1
	for _, v := range values {
		top = max(top, v)
	}
	for i, v := range values {
		if v > 0 {
			c.Text(x+w-len(values)+i, y, st, g[max(1, v*(len(g)-1)/top)])
		}
	}
}
