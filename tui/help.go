package tui

import (
	"fmt"
	"strings"

	"github.com/ringctl/ringctl/tui/screen"
	"github.com/ringctl/ringctl/tui/widget"
)

// helpKeys are the keys that work on every screen.
var helpKeys = []screen.Hint{
	{Key: "1-7, tab", Does: "screens"},
	{Key: "j k g G", Does: "down, up, top, bottom"},
	{Key: "^d ^u", Does: "half a page"},
	{Key: "enter, esc", Does: "into, back"},
	{Key: "/", Does: "filter: word !not zone:a"},
	{Key: ":", Does: "commands; tab completes"},
	{Key: "s S", Does: "next sort column, reverse"},
	{Key: "space", Does: "mark"},
	{Key: "w", Does: "wide"},
	{Key: "y", Does: "yank as JSON"},
	{Key: "p", Does: "pause, go on"},
	{Key: "[ ]", Does: "step back, forth in time"},
	{Key: "r", Does: "ask every member again"},
	{Key: "t", Does: "next theme"},
	{Key: "q", Does: "quit"},
}

// drawHelp covers the body with keys and commands.
func (m *Model) drawHelp(c widget.Canvas) {
	c.Fill(widget.Style{})
	in := c.Box("Help", "any key closes").Inset(2)
	left := in.Sub(0, 0, in.W/2-1, in.H)
	right := in.Sub(in.W/2+1, 0, in.W-in.W/2-1, in.H)
	here, row := m.pane().Hints(), -1
	if y := m.hints(left, 0, "Everywhere", helpKeys); y+2+len(here) <= left.H {
		m.hints(left, y+1, "On this screen", here)
	} else {
		row = m.hints(right, 0, "On this screen", here)
	}
	note := widget.Wrap("Capital letters propose a change: the checks are shown first, and only typed words confirm it.", right.W)
	var all []screen.Hint
	for _, cmd := range commands() {
		all = append(all, screen.Hint{Key: ":" + strings.Join(cmd.names, ", "), Does: cmd.does})
	}
	if room := right.H - row - 2 - len(note) - 1; len(all) > room {
		rest := screen.Hint{Key: ": tab", Does: fmt.Sprintf("and %d more", len(all)-max(room-1, 0))}
		all = append(all[:max(room-1, 0)], rest)
	}
	m.hints(right, row+1, "Commands", all)
	for i, l := range note {
		right.Text(0, right.H-len(note)+i, m.theme.Dim, l)
	}
}

// hints draws a titled list of keys, with room for the longest of them as far as half the width goes.
func (m *Model) hints(c widget.Canvas, y int, title string, hints []screen.Hint) int {
	c.Text(0, y, m.theme.Title, title)
	keys := 0
	for _, h := range hints {
		keys = max(keys, widget.Width(h.Key))
	}
	keys = min(keys, c.W/2)
	for _, h := range hints {
		y++
		c.In(0, y, keys, m.theme.Accent, h.Key)
		c.In(keys+1, y, c.W-keys-1, m.theme.Text, strings.ReplaceAll(h.Does, "…", m.theme.Glyph.More))
	}
	return y + 1
}
