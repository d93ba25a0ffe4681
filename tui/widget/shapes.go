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
	eighths := int(f*float64(w*steps) + 0.5)
	full, rest := eighths/steps, eighths%steps
	c.Text(x, y, fill, strings.Repeat(g.Bar[steps-1], full))
	at := x + full
	if rest > 0 {
		at = c.Text(at, y, fill, g.Bar[rest-1])
	}
	c.Text(at, y, c.theme().Faint, strings.Repeat(g.Track, max(x+w-at, 0)))
	return x + w
}

// Spark is a sparkline of the values in w columns, newest at the right. Zero is
// the lowest step, so a quiet time is a quiet line.
func (t *Theme) Spark(values []int, w int) string {
	if len(values) > w {
		values = values[len(values)-w:]
	}
	top := 1
	for _, v := range values {
		top = max(top, v)
	}
	var b strings.Builder
	for range w - len(values) {
		b.WriteString(t.Glyph.Spark[0])
	}
	last := len(t.Glyph.Spark) - 1
	for _, v := range values {
		step := 0
		if v > 0 {
			step = max(1, v*last/top)
		}
		b.WriteString(t.Glyph.Spark[step])
	}
	return b.String()
}
