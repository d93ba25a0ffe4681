package screen

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/tui/widget"
)

// verdict is the symbol and the style of a verdict.
func verdict(t *widget.Theme, v client.Verdict) (string, widget.Style) {
	switch v {
	case client.OK:
		return t.Glyph.Good, t.Good
	case client.Warning:
		return t.Glyph.Warn, t.Warn
	case client.Critical:
		return t.Glyph.Bad, t.Bad
	default:
		return t.Glyph.Unknown, t.Unknown
	}
}

// health is the symbol, the word and the style of a heartbeat's judgement.
func health(t *widget.Theme, h client.Health) (string, string, widget.Style) {
	switch h {
	case client.Healthy:
		return t.Glyph.Good, "healthy", t.Good
	case client.Unhealthy:
		return t.Glyph.Bad, "unhealthy", t.Bad
	case client.Future:
		return t.Glyph.Warn, "future", t.Warn
	default:
		return t.Glyph.Unknown, "missing", t.Bad
	}
}

// state is the style of an instance's or partition's state.
func state(t *widget.Theme, s string) widget.Style {
	switch s {
	case "ACTIVE", "alive":
		return t.Text
	case "JOINING", "PENDING":
		return t.Info
	case "LEAVING", "INACTIVE", "suspect":
		return t.Warn
	case "LEFT", "left":
		return t.Faint
	default:
		return t.Bad
	}
}

// age is a duration in at most six columns: "3s", "4m12s", "2h03m", "5d07h".
func age(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	switch s := int64(d / time.Second); {
	case s < 60:
		return sign + strconv.FormatInt(s, 10) + "s"
	case s < 3600:
		return fmt.Sprintf("%s%dm%02ds", sign, s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%s%dh%02dm", sign, s/3600, s/60%60)
	case s < 100*86400:
		return fmt.Sprintf("%s%dd%02dh", sign, s/86400, s/3600%24)
	default:
		return fmt.Sprintf("%s%dd", sign, s/86400)
	}
}

// since is the age of a moment, "never" where there was none.
func since(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return age(now.Sub(t))
}

// percent is a share with the digits that matter.
func percent(f float64) string {
	switch {
	case f == 0:
		return "0%"
	case f < 0.05:
		return "<0.1%"
	case f < 99.95:
		return strconv.FormatFloat(f, 'f', 1, 64) + "%"
	default:
		return "100%"
	}
}

// count is a number and its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}

// grouped is a number with thin groups of three digits.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size is a number of bytes.
func size(n int) string {
	switch {
	case n < 10_000:
		return grouped(n) + " B"
	case n < 10_000_000:
		return strconv.Itoa(n/1000) + " kB"
	default:
		return strconv.Itoa(n/1_000_000) + " MB"
	}
}

// margin says what a quorum margin means.
func margin(q *client.Quorum) string {
	switch {
	case q == nil:
		return "-"
	case q.Error != "":
		return "?"
	default:
		return fmt.Sprintf("%+d", q.Margin)
	}
}

// zone is the name of a zone that can be shown.
func zone(name string) string {
	if name == "" {
		return "-"
	}
	return name
}

// jsonText is v as indented JSON.
func jsonText(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// clock is a clock time in the viewer's zone.
func clock(t time.Time) string { return t.Local().Format("15:04:05") }

// joinShort lists names, the first few in full.
func joinShort(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// natural compares names as people do: numbers in them by their value.
func natural(a, b string) int {
	for len(a) > 0 && len(b) > 0 {
		x, y := digits(a), digits(b)
		if x > 0 && y > 0 {
			m, n := strings.TrimLeft(a[:x], "0"), strings.TrimLeft(b[:y], "0")
			if len(m) != len(n) {
				return len(m) - len(n)
			}
			if c := strings.Compare(m, n); c != 0 {
				return c
			}
			a, b = a[x:], b[y:]
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

// digits is the length of the number at the start of s.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
