package document

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// VerdictTone is the colour of a verdict.
func VerdictTone(v client.Verdict) render.Tone {
	switch v {
	case client.OK:
		return render.Good
	case client.Warning:
		return render.Warn
	case client.Critical:
		return render.Bad
	default:
		return render.Warn
	}
}

// VerdictCell is a verdict in its colour.
func VerdictCell(v client.Verdict) render.Cell {
	return render.Cell{Text: string(v), Tone: VerdictTone(v)}
}

func healthCell(h client.Health) render.Cell {
	switch h {
	case client.Healthy:
		return render.Cell{Text: string(h), Tone: render.Good}
	default:
		return render.Cell{Text: string(h), Tone: render.Bad}
	}
}

func stateCell(s string) render.Cell {
	switch s {
	case "ACTIVE":
		return render.Cell{Text: s, Tone: render.Good}
	default:
		return render.Cell{Text: s, Tone: render.Warn}
	}
}

// ago is the age of a time, "-" when it is unknown.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return client.Age(now.Sub(t))
}

// Instant is a time in RFC 3339, "-" for the zero time.
func Instant(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// Short is a duration without units that are zero: 1m instead of 1m0s.
func Short(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if len(s) > len(zero) && s[len(s)-len(zero):] == zero {
			s = s[:len(s)-len(zero)+1]
		}
	}
	return s
}

// Timeouts tells by which heartbeat timeouts the rings of a snapshot are judged, the usual one first; "" without a ring.
func Timeouts(s *client.Snapshot) string {
	rings := map[time.Duration][]string{}
	for i := range s.Rings {
		d := time.Duration(s.Rings[i].HeartbeatTimeout)
		rings[d] = append(rings[d], s.Rings[i].Name)
	}
	order := slices.SortedFunc(maps.Keys(rings), func(a, b time.Duration) int {
		return cmp.Or(len(rings[b])-len(rings[a]), cmp.Compare(b, a))
	})
	if len(order) == 0 {
		return ""
	}
	text := "heartbeat timeout " + Short(order[0])
	for i, d := range order[1:] {
		sep := ", "
		if i == 0 {
			sep = " ("
		}
		text += sep + Short(d) + " for " + strings.Join(rings[d], " and ")
	}
	if len(order) > 1 {
		text += ")"
	}
	return text
}

// YesNo is a boolean for a table.
func YesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// ViewOf is the provenance of a snapshot for documents.
func ViewOf(s *client.Snapshot) *render.View {
	return &render.View{From: s.From, Addr: s.Addr, At: s.At, Mode: string(s.Mode), Label: s.Label, Note: s.Note}
}

// Plural counts a noun: 1 ring, 2 rings.
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
