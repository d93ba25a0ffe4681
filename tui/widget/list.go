package widget

// List is the cursor and the window of a scrolling list. The rows themselves
// belong to whoever draws them.
type List struct {
	Cursor, Top int
	n, height   int
}

// SetSize tells the list how many rows there are and how many fit.
func (l *List) SetSize(n, height int) {
	l.n, l.height = max(n, 0), max(height, 0)
	l.clamp()
}

// Len is the number of rows.
func (l *List) Len() int { return l.n }

// Move shifts the cursor by delta rows.
func (l *List) Move(delta int) { l.Cursor += delta; l.clamp() }

// To puts the cursor on row i.
func (l *List) To(i int) { l.Cursor = i; l.clamp() }

// HandleKey moves the cursor for the usual keys and reports whether it was one.
func (l *List) HandleKey(key string) bool {
	switch key {
	case "j", "down":
		l.Move(1)
	case "k", "up":
		l.Move(-1)
	case "g", "home":
		l.To(0)
	case "G", "shift+g", "end":
		l.To(l.n - 1)
	case "ctrl+d":
		l.Move(max(l.height/2, 1))
	case "ctrl+u":
		l.Move(-max(l.height/2, 1))
	case "pgdown", "ctrl+f":
		l.Move(max(l.height-1, 1))
	case "pgup", "ctrl+b":
		l.Move(-max(l.height-1, 1))
	default:
		return false
	}
	return true
}

// Window is the range of rows that is visible.
func (l *List) Window() (from, to int) { return l.Top, min(l.Top+l.height, l.n) }

func (l *List) clamp() {
	l.Cursor = max(min(l.Cursor, l.n-1), 0)
	if l.Cursor < l.Top {
		l.Top = l.Cursor
	}
	if l.height > 0 && l.Cursor >= l.Top+l.height {
		l.Top = l.Cursor - l.height + 1
	}
	l.Top = max(min(l.Top, l.n-l.height), 0)
}
