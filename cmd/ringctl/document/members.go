package document

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// Member is one instance with the ring it is in: a document of kind MemberList.
type Member struct {
	Ring string `json:"ring"`
	Key  string `json:"key"`
	client.Instance
}

// Members lists members: kind MemberList. The ring's name is a column of its own when withRing is set.
func Members(s *client.Snapshot, items []Member, withRing bool, sortBy string) (*render.Document, error) {
	if err := sortMembers(items, sortBy); err != nil {
		return nil, err
	}
	t := &render.Table{Columns: []render.Column{{Title: "RING", Wide: !withRing}, {Title: "ID"}, {Title: "STATE"}, {Title: "HEALTH"}, {Title: "AGE", Right: true},
		{Title: "ZONE"}, {Title: "ADDRESS"}, {Title: "TOKENS", Right: true}, {Title: "OWNS", Right: true}, {Title: "READ-ONLY", Wide: true},
		{Title: "WRITE", Wide: true}, {Title: "READ", Wide: true}, {Title: "HEARTBEAT", Wide: true}, {Title: "REGISTERED", Wide: true}, {Title: "VERSIONS", Wide: true}}}
	d := &render.Document{Kind: "MemberList", Data: items, View: ViewOf(s), Table: t}
	for _, m := range items {
		d.Names = append(d.Names, m.ID)
		t.Add(m.Ring, m.ID, stateCell(m.State), healthCell(m.Health), ago(s.At, m.Heartbeat), m.Zone, m.Addr, m.Tokens, ownText(m.Ownership, m.Tokens),
			YesNo(m.ReadOnly), YesNo(m.CountsForWrite), YesNo(m.CountsForRead), Instant(m.Heartbeat), Instant(m.Registered), versionsText(m.Versions))
	}
	return d, nil
}

func ownText(p float64, tokens int) string {
	if tokens == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f%%", p)
}

func versionsText(v map[uint64]uint64) string {
	keys := make([]uint64, 0, len(v))
	for k := range v {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = fmt.Sprintf("%d:%d", k, v[k])
	}
	return strings.Join(parts, ",")
}

func sortMembers(items []Member, by string) error {
	less := map[string]func(a, b Member) int{
		"id":        func(a, b Member) int { return strings.Compare(a.ID, b.ID) },
		"age":       func(a, b Member) int { return a.Heartbeat.Compare(b.Heartbeat) },
		"zone":      func(a, b Member) int { return strings.Compare(a.Zone, b.Zone) },
		"state":     func(a, b Member) int { return strings.Compare(a.State, b.State) },
		"tokens":    func(a, b Member) int { return b.Tokens - a.Tokens },
		"ownership": func(a, b Member) int { return int((b.Ownership - a.Ownership) * 1e6) },
	}[by]
	if less == nil {
		return &client.Error{Code: client.CodeUsage, Err: fmt.Errorf("--sort is id, age, zone, state, ownership or tokens, not %q", by)}
	}
	slices.SortStableFunc(items, less)
	if by != "id" {
		return nil
	}
	slices.SortStableFunc(items, func(a, b Member) int { return strings.Compare(a.Key, b.Key) })
	return nil
}

// GossipMembers lists the gossip members of a snapshot: kind GossipMemberList.
func GossipMembers(s *client.Snapshot) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "NAME"}, {Title: "STATE"}, {Title: "ADDRESS"}, {Title: "ZONE"}, {Title: "ROLE", Wide: true}, {Title: "IN RINGS"}}}
	d := &render.Document{Kind: "GossipMemberList", Data: s.Members, View: ViewOf(s), Table: t}
	for _, m := range s.Members {
		state := render.Cell{Text: m.State, Tone: render.Good}
		if m.State != "alive" {
			state.Tone = render.Bad
		}
		rings := strings.Join(m.Instances, " ")
		if m.Guest {
			rings = "(guest)"
		}
		d.Names = append(d.Names, m.Name)
		t.Add(m.Name, state, m.Addr, m.Zone, m.Role, rings)
	}
	return d
}
