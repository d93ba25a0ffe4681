package document

import (
	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// Events lists events: kind EventList.
func Events(found []client.Event) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "AT"}, {Title: "EVENT"}, {Title: "RING"}, {Title: "ID"}, {Title: "FROM"}, {Title: "TO"}}}
	d := &render.Document{Kind: "EventList", Data: found, Table: t}
	for _, e := range found {
		tone := render.Plain
		if e.Bad {
			tone = render.Warn
		}
		d.Names = append(d.Names, string(e.Kind))
		t.Add(Instant(e.At), render.Cell{Text: string(e.Kind), Tone: tone}, e.Key, e.ID, e.From, e.To)
	}
	return d
}

// Event is one event: kind Event.
func Event(s *client.Snapshot, e client.Event) *render.Document {
	tone := render.Plain
	if e.Bad {
		tone = render.Warn
	}
	t := &render.Table{Columns: []render.Column{{Title: "AT"}, {Title: "EVENT"}}}
	t.Add(Instant(e.At), render.Cell{Text: e.String(), Tone: tone})
	return &render.Document{Kind: "Event", Data: e, View: ViewOf(s), Table: t, Names: []string{e.ID}}
}
