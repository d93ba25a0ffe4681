package tui

import (
	"strings"

	"github.com/ringctl/ringctl/tui/screen"
	"github.com/ringctl/ringctl/tui/widget"
)

// helpKeys are the keys that work on every screen.
var helpKeys = []screen.Hint{
	{Key: "1-7, tab", Does: "screens"},
	{Key: "j k g G", Does: "down, up, top, bottom"},
	{Key: "ctrl-d ctrl-u", Does: "half a page"},
	{Key: "enter, esc", Does: "into, back"},
	{Key: "/", Does: "filter: word !not zone:a"},
	{Key: ":", Does: "command line; tab completes"},
	{Key: "s S", Does: "next sort column, reverse"},
	{Key: "space", Does: "mark"},
	{Key: "w", Does: "wide"},
	{Key: "y", Does: "yank as JSON to the clipboard"},
	{Key: "p", Does: "pause, go on"},
	{Key: "[ ]", Does: "step back and forth in time"},
	{Key: "r", Does: "ask every member again"},
	{Key: "t", Does: "next theme"},
	{Key: "q", Does: "quit"},
}

// drawHelp covers the body with keys and commands.
func (m *Model) drawHelp(c widget.Canvas) {
	c.Fill(widget.Style{})
	in := c.Box("Help", "any key closes").Inset(2)
	left := in.Sub(0, 0, in.W/2-1, in.H)
	y := m.hints(left, 0, "Everywhere", helpKeys)
	if y+2 < left.H {
		m.hints(left, y+1, "On this screen", m.pane().Hints())
	}
	right := in.Sub(in.W/2+1, 0, in.W-in.W/2-1, in.H)
	right.Text(0, 0, m.theme.Title, "Commands")
	row := 1
	for _, cmd := range commands() {
		if row >= right.H-3 {
			break
		}
		x := right.In(0, row, 22, m.theme.Accent, ":"+strings.Join(cmd.names, ", "))
		right.In(x+1, row, right.W-x-1, m.theme.Text, cmd.does)
		row++
	}
	for i, l := range widget.Wrap("Capital letters propose a change: the checks are shown first, and only typed words confirm it.", right.W) {
		right.Text(0, right.H-2+i, m.theme.Dim, l)
	}
}

func (m *Model) hints(c widget.Canvas, y int, title string, hints []screen.Hint) int {
	c.Text(0, y, m.theme.Title, title)
	for _, h := range hints {
		y++
		c.In(0, y, 14, m.theme.Accent, h.Key)
		c.In(15, y, c.W-15, m.theme.Text, strings.ReplaceAll(h.Does, "…", m.theme.Glyph.More))
	}
	return y + 1
}
