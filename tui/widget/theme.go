package widget

// Glyphs are the symbols of a theme. Every one is one column wide.
type Glyphs struct {
	Horizontal, Vertical                        string
	TopLeft, TopRight, BottomLeft, BottomRight  string
	TeeLeft, TeeRight                           string
	Bar                                         []string // parts of a bar, rising width, full width last
	Spark                                       []string // rising height, full block last
	Track                                       string   // empty part of a bar
	Pointer, Mark, Bullet                       string
	Good, Warn, Bad, Unknown                    string
	Up, Down, Left, Right, Both                 string
	Ellipsis, Unprintable, Separator, Lock, Age string
	Spinner                                     []string
	More                                        string // "there is more to it", at the end of a label
	SevenBit                                    bool   // nothing but ASCII may be drawn
}

var unicodeGlyphs = Glyphs{
	Horizontal: "─", Vertical: "│",
	TopLeft: "╭", TopRight: "╮", BottomLeft: "╰", BottomRight: "╯",
	TeeLeft: "├", TeeRight: "┤",
	Bar:     []string{"╸", "━"},
	Spark:   []string{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
	Track:   "─",
	Pointer: "▸", Mark: "◆", Bullet: "•",
	Good: "✓", Warn: "▲", Bad: "✗", Unknown: "?",
	Up: "↑", Down: "↓", Left: "←", Right: "→", Both: "⇄",
	Ellipsis: "…", Unprintable: "·", Separator: "·", Lock: "L", Age: "◷",
	Spinner: []string{"⠋", "⠙", "⠸", "⠴", "⠦", "⠇"}, More: "…",
}

var asciiGlyphs = Glyphs{
	Horizontal: "-", Vertical: "|",
	TopLeft: "+", TopRight: "+", BottomLeft: "+", BottomRight: "+",
	TeeLeft: "+", TeeRight: "+",
	Bar:     []string{"#"},
	Spark:   []string{"_", ".", "-", "=", "*", "#"},
	Track:   ".",
	Pointer: ">", Mark: "*", Bullet: "-",
	Good: "+", Warn: "!", Bad: "x", Unknown: "?",
	Up: "^", Down: "v", Left: "<", Right: ">", Both: "=",
	Ellipsis: "~", Unprintable: "?", Separator: "-", Lock: "L", Age: "@",
	Spinner: []string{"|", "/", "-", "\\"}, More: "...", SevenBit: true,
}

// Theme is a palette and a set of symbols. Styles are named by what they mean.
type Theme struct {
	Name  string
	Glyph Glyphs
	// Pictures may be drawn with coloured half blocks; else they are letters.
	Pictures bool
	// Paper is about the colour of the background, to mix colours with.
	Paper Color

	Text, Strong, Dim, Faint Style // ordinary text, from loud to quiet
	Accent                   Style // what can be chosen: keys, the current tab
	Good, Warn, Bad, Unknown Style // verdicts
	Info                     Style // work in progress: joining, pending
	Border, Title            Style
	Header                   Style // the bar at the top
	Select                   Style // background of the row under the cursor
	Marked                   Style
	Zones                    []Style // one per zone, reused in order when there are more
}

// Dark is the theme for terminals with a dark background.
func Dark() *Theme {
	return &Theme{
		Name: "dark", Glyph: unicodeGlyphs, Pictures: true, Paper: RGB(0x1b1f26),
		Text: fg(0xd3d7de), Strong: Style{FG: RGB(0xf2f4f8), Attr: Bold}, Dim: fg(0x8b94a3), Faint: fg(0x596273),
		Accent: fg(0x7db4f5), Good: fg(0x86c98a), Warn: fg(0xeaa04f), Bad: Style{FG: RGB(0xf0717a), Attr: Bold}, Unknown: fg(0xb79cf0),
		Info: fg(0x6cc7d6), Border: fg(0x434b59), Title: Style{FG: RGB(0xc3d3ea), Attr: Bold},
		Header: Style{FG: RGB(0xd3d7de), BG: RGB(0x20262f)}, Select: Style{BG: RGB(0x2b3543)},
		Marked: Style{FG: RGB(0xf4dc7c), Attr: Bold},
		Zones:  []Style{fg(0x6ea8fe), fg(0xb58ae0), fg(0x5fc2c0), fg(0xd98fb8), fg(0x8793f2), fg(0x8ecdf0), fg(0xc2b69c), fg(0x9fb07a)},
	}
}

// Light is the theme for terminals with a light background.
func Light() *Theme {
	return &Theme{
		Name: "light", Glyph: unicodeGlyphs, Pictures: true, Paper: RGB(0xfafafa),
		Text: fg(0x2a303a), Strong: Style{FG: RGB(0x10141a), Attr: Bold}, Dim: fg(0x646d7b), Faint: fg(0x98a0ac),
		Accent: fg(0x1d5fb8), Good: fg(0x2f7d3a), Warn: fg(0x9a6400), Bad: Style{FG: RGB(0xb9252f), Attr: Bold}, Unknown: fg(0x6a45b8),
		Info: fg(0x12707f), Border: fg(0xbcc3cd), Title: Style{FG: RGB(0x27456f), Attr: Bold},
		Header: Style{FG: RGB(0x2a303a), BG: RGB(0xe6eaf0)}, Select: Style{BG: RGB(0xd9e4f3)},
		Marked: Style{FG: RGB(0x8a4b00), Attr: Bold},
		Zones:  []Style{fg(0x2563b8), fg(0x8242b0), fg(0x127d7b), fg(0xa8407e), fg(0x4b4fc2), fg(0x2b86b5), fg(0x7d6f52), fg(0x5f7034)},
	}
}

// Sixteen is the theme for terminals with sixteen colours: it keeps to the
// colours the terminal's user has chosen.
func Sixteen() *Theme {
	c := func(n uint8) Style { return Style{FG: ANSI(n)} }
	return &Theme{
		Name: "16", Glyph: unicodeGlyphs, Pictures: true,
		Strong: Style{Attr: Bold}, Dim: c(8), Faint: c(8),
		Accent: c(6), Good: c(2), Warn: c(3), Bad: c(1).With(Bold), Unknown: c(5), Info: c(6),
		Border: c(8), Title: Style{Attr: Bold}, Header: Style{Attr: Reverse}, Select: Style{Attr: Reverse},
		Marked: c(3).With(Bold),
		Zones:  []Style{c(4), c(5), c(6), c(12), c(13), c(14)},
	}
}

// Mono is the theme without colours: weight, underline and reverse only.
func Mono() *Theme {
	plain, faint := Style{}, Style{Attr: Faint}
	return &Theme{
		Name: "mono", Glyph: unicodeGlyphs,
		Text: plain, Strong: plain.With(Bold), Dim: plain, Faint: faint,
		Accent: plain.With(Bold), Good: plain, Warn: plain.With(Bold), Bad: plain.With(Bold | Underline), Unknown: plain.With(Bold),
		Info: plain, Border: faint, Title: plain.With(Bold), Header: plain.With(Reverse), Select: plain.With(Reverse),
		Marked: plain.With(Bold), Zones: []Style{plain},
	}
}

// ASCII returns a copy of the theme that draws with seven-bit characters only.
func (t *Theme) ASCII() *Theme {
	plain := *t
	plain.Glyph, plain.Pictures = asciiGlyphs, false
	return &plain
}

// Zone is the style of the i-th zone.
func (t *Theme) Zone(i int) Style {
	if len(t.Zones) == 0 || i < 0 {
		return t.Text
	}
	return t.Zones[i%len(t.Zones)]
}

func fg(hex uint32) Style { return Style{FG: RGB(hex)} }
