package screen

import (
	"github.com/ringctl/ringctl/tui/widget"
)

// column is one column of a table.
type column struct {
	title string
	// width is what the column needs at least; grow lets it share spare room.
	width int
	grow  bool
	right bool
	// keep orders columns by importance: those with the lowest value go first
	// when there is no room. wide columns are there only on request or when
	// there is plenty of room.
	keep int
	wide bool
	// sorted marks the column that the rows are ordered by, up or down.
	sorted int
}

// placed is a column with its place in a line.
type placed struct {
	index, x, w int
}

const gap = 2

// place chooses the columns that fit into total columns and gives spare room to
// those that grow.
func place(cols []column, total int, wide bool) []placed {
	use := make([]bool, len(cols))
	need := -gap
	for i, c := range cols {
		if !c.wide || wide {
			use[i] = true
			need += c.width + gap
		}
	}
	for need > total {
		drop := -1
		for i, c := range cols {
			if use[i] && (drop < 0 || c.keep < cols[drop].keep) {
				drop = i
			}
		}
		if drop < 0 || cols[drop].keep >= always {
			break
		}
		use[drop] = false
		need -= cols[drop].width + gap
	}
	return spread(cols, use, total-need)
}

// always is the importance of a column that is never left out.
const always = 100

// spread hands out spare columns and turns widths into positions.
func spread(cols []column, use []bool, spare int) []placed {
	growing := 0
	for i, c := range cols {
		if use[i] && c.grow {
			growing++
		}
	}
	var out []placed
	x := 0
	for i, c := range cols {
		if !use[i] {
			continue
		}
		w := c.width
		if c.grow && spare > 0 {
			share := min(spare/growing, c.width) // a column at most doubles: far columns are hard to read across
			w += share
		}
		out = append(out, placed{index: i, x: x, w: w})
		x += w + gap
	}
	return out
}

// heads draws the line of column titles.
func heads(c widget.Canvas, cols []column, at []placed) {
	for _, p := range at {
		col := cols[p.index]
		st, title := c.Theme.Dim, col.title
		if col.sorted != 0 {
			st = c.Theme.Accent
			if col.sorted > 0 {
				title += c.Theme.Glyph.Up
			} else {
				title += c.Theme.Glyph.Down
			}
		}
		if col.right {
			c.Right(p.x, 0, p.w, st, title)
		} else {
			c.In(p.x, 0, p.w, st, title)
		}
	}
}

// scrollbar draws where the window is, in the last column of a list.
func scrollbar(c widget.Canvas, l *widget.List) {
	from, to := l.Window()
	if n := l.Len(); n > to-from && c.H > 1 {
		h := max((to-from)*c.H/n, 1)
		y := from * (c.H - h) / max(n-(to-from), 1)
		for i := range h {
			c.Text(c.W-1, y+i, c.Theme.Dim, c.Theme.Glyph.Vertical)
		}
	}
}
