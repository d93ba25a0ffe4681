package render

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// Tone is what a cell's content means; it becomes a colour where colours are on.
type Tone int

// The tones.
const (
	Plain Tone = iota
	Good
	Warn
	Bad
	Dim
	Strong
)

// escape starts a tone on a terminal.
func (t Tone) escape() string {
	return [...]string{Plain: "", Good: "\x1b[32m", Warn: "\x1b[33m", Bad: "\x1b[31m", Dim: "\x1b[2m", Strong: "\x1b[1m"}[t]
}

const reset = "\x1b[0m"

// Paint wraps text in the tone's colour if on is true.
func Paint(on bool, tone Tone, text string) string {
	if !on || tone == Plain || text == "" {
		return text
	}
	return tone.escape() + text + reset
}

// Column is one column of a table.
type Column struct {
	Title string
	// Wide columns are shown with -o wide and in CSV only.
	Wide bool
	// Right aligns numbers.
	Right bool
}

// Cell is text with a meaning.
type Cell struct {
	Text string
	Tone Tone
}

// Table is rows under titled columns. The zero value is empty; set Columns, then Add rows.
type Table struct {
	Columns []Column
	rows    [][]Cell
}

// Add appends a row. Cells are used as they are, everything else as fmt.Sprint has it; empty text becomes "-",
// so that columns can be told apart by a program that splits at blanks.
func (t *Table) Add(values ...any) {
	row := make([]Cell, len(values))
	for i, v := range values {
		if c, ok := v.(Cell); ok {
			row[i] = c
		} else {
			row[i] = Cell{Text: fmt.Sprint(v)}
		}
		row[i].Text = oneLine(row[i].Text)
	}
	t.rows = append(t.rows, row)
}

// oneLine keeps names off the wire from breaking the layout or driving the terminal.
func oneLine(s string) string {
	if s == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

// Len is the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// shown are the indexes of the columns to print.
func (t *Table) shown(wide bool) []int {
	var out []int
	for i, c := range t.Columns {
		if wide || !c.Wide {
			out = append(out, i)
		}
	}
	return out
}

// Layout controls how a table is printed.
type Layout struct {
	Wide      bool
	NoHeaders bool
	Color     bool
}

// Write prints the table without borders, in columns, without trailing blanks.
func (t *Table) Write(w io.Writer, l Layout) error {
	cols := t.shown(l.Wide)
	lines, err := t.lines(cols, l.NoHeaders)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	for i, line := range lines {
		line = strings.TrimRight(line, " ")
		if l.Color {
			line = t.colored(line, i, cols, l.NoHeaders)
		}
		out.WriteString(line)
		out.WriteByte('\n')
	}
	_, err = w.Write(out.Bytes())
	return err
}

// lines lets the table library do the layout: widths of wide characters, alignment, padding.
func (t *Table) lines(cols []int, noHeaders bool) ([]string, error) {
	if len(t.rows) == 0 && noHeaders || len(cols) == 0 {
		return nil, nil
	}
	align := make([]tw.Align, len(cols))
	header := make([]string, len(cols))
	for i, c := range cols {
		align[i] = tw.AlignLeft
		if t.Columns[c].Right {
			align[i] = tw.AlignRight
		}
		header[i] = t.Columns[c].Title
	}
	cell := tw.CellConfig{
		Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off},
		Alignment:  tw.CellAlignment{Global: tw.AlignLeft, PerColumn: align},
		Padding:    tw.CellPadding{Global: tw.Padding{Right: "   ", Overwrite: true}},
	}
	var buf bytes.Buffer
	table := tablewriter.NewTable(&buf,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.BorderNone,
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		})),
		tablewriter.WithConfig(tablewriter.Config{Header: cell, Row: cell,
			Behavior: tw.Behavior{TrimSpace: tw.Off, TrimLine: tw.Off}}))
	if !noHeaders {
		table.Header(header)
	}
	rows := make([][]string, len(t.rows))
	for i, r := range t.rows {
		rows[i] = make([]string, len(cols))
		for j, c := range cols {
			if c < len(r) {
				rows[i][j] = r[c].Text
			} else {
				rows[i][j] = "-"
			}
		}
	}
	if err := table.Bulk(rows); err != nil {
		return nil, fmt.Errorf("lay out table: %w", err)
	}
	if err := table.Render(); err != nil {
		return nil, fmt.Errorf("lay out table: %w", err)
	}
	return strings.Split(strings.TrimSuffix(buf.String(), "\n"), "\n"), nil
}

// colored paints the cells of one line that is already laid out, so that escapes never count as width. Cells
// stand in the line in order with only blanks between them, so each is found by looking for its text.
func (t *Table) colored(line string, n int, cols []int, noHeaders bool) string {
	if !noHeaders {
		if n == 0 {
			return Paint(true, Strong, line)
		}
		n--
	}
	if n >= len(t.rows) {
		return line
	}
	var out strings.Builder
	for _, c := range cols {
		if c >= len(t.rows[n]) {
			continue
		}
		cell := t.rows[n][c]
		at := strings.Index(line, cell.Text)
		if at < 0 {
			continue
		}
		out.WriteString(line[:at])
		out.WriteString(Paint(true, cell.Tone, cell.Text))
		line = line[at+len(cell.Text):]
	}
	out.WriteString(line)
	return out.String()
}
