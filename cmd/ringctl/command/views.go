package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// views asks every member. Members that gave no view are said, and returned, not an error as long as there is one view.
func (a *app) views(ctx context.Context) ([]*client.Snapshot, map[string]error, error) {
	cl, err := a.client()
	if err != nil {
		return nil, nil, err
	}
	views, err := cl.Views(ctx)
	var some *client.Unreached
	if errors.As(err, &some) && len(views) > 0 {
		for _, n := range some.Names() {
			a.say("no view from %s: %v", n, some.Members[n])
		}
		return views, some.Members, nil
	}
	return views, nil, err
}

// viewReport is a document of kind ViewReport.
type viewReport struct {
	// Agreed is true when all members that answered see the same, and all did answer.
	Agreed     bool               `json:"agreed"`
	Agreements []client.Agreement `json:"rings"`
	// Islands are groups of members that do not know each other; one is normal.
	Islands   [][]string        `json:"islands"`
	Views     []viewItem        `json:"views"`
	Unreached map[string]string `json:"unreached,omitempty"`
}

type viewItem struct {
	From    string            `json:"from"`
	Addr    string            `json:"addr"`
	Members int               `json:"members"`
	Bytes   int               `json:"bytes"`
	Hashes  map[string]string `json:"hashes"`
}

func (a *app) viewsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "views",
		Short: "Does every member see the same rings?",
		Long: `Ask every member for its own view and compare: one line per member, one column per ring with the hash of what it sees.
The hash covers what routing depends on (ids, addresses, states, zones, tokens), not heartbeats. Members of the same letter
agree. The exit code is 1 when members differ, do not answer, or form islands.`,
		Example: "  ringctl views\n  ringctl views -o json | jq .data.islands\n  ringctl diff ingester-0-1a2b3c4d ingester-1-5e6f7a8b",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			views, failed, err := a.views(c.Context())
			if err != nil {
				return err
			}
			r := reportViews(views, failed)
			if err := a.print(viewsDocument(r)); err != nil {
				return err
			}
			if why := r.disagreement(); why != "" {
				return &client.Error{Code: client.CodeNo, Err: errors.New(why), Hint: "ringctl diff A B shows the fields"}
			}
			return nil
		},
	}
}

func reportViews(views []*client.Snapshot, failed map[string]error) viewReport {
	r := viewReport{Agreements: client.Agreements(views), Islands: client.Islands(views), Unreached: map[string]string{}}
	for n, err := range failed {
		r.Unreached[n] = err.Error()
	}
	for _, v := range views {
		it := viewItem{From: v.From, Addr: v.Addr, Members: len(v.Members), Bytes: v.StateBytes, Hashes: map[string]string{}}
		for i := range v.Rings {
			it.Hashes[v.Rings[i].Key] = v.Rings[i].Hash
		}
		for i := range v.PartitionRings {
			it.Hashes[v.PartitionRings[i].Key] = v.PartitionRings[i].Hash
		}
		r.Views = append(r.Views, it)
	}
	r.Agreed = r.disagreement() == ""
	return r
}

// disagreement says what is not agreed on; "" when all is well.
func (r *viewReport) disagreement() string {
	var parts []string
	for _, g := range r.Agreements {
		if !g.Agreed() {
			parts = append(parts, g.Name)
		}
	}
	switch {
	case len(r.Islands) > 1:
		return fmt.Sprintf("the members form %d islands that do not know each other", len(r.Islands))
	case len(parts) > 0:
		return "members see different rings: " + strings.Join(parts, ", ")
	case len(r.Unreached) > 0:
		return fmt.Sprintf("%d members gave no view", len(r.Unreached))
	}
	return ""
}

func viewsDocument(r viewReport) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "MEMBER"}, {Title: "KNOWS", Right: true}}}
	for _, g := range r.Agreements {
		t.Columns = append(t.Columns, render.Column{Title: strings.ToUpper(g.Name)})
	}
	t.Columns = append(t.Columns, render.Column{Title: "ADDRESS", Wide: true}, render.Column{Title: "BYTES", Wide: true, Right: true})
	d := &render.Document{Kind: "ViewReport", Data: r, Table: t}
	for _, v := range r.Views {
		d.Names = append(d.Names, v.From)
		row := []any{v.From, fmt.Sprintf("%d members", v.Members)}
		for _, g := range r.Agreements {
			row = append(row, groupCell(&g, v.From))
		}
		t.Add(append(row, v.Addr, v.Bytes)...)
	}
	return d
}

// groupCell is the letter of a member's group and the hash: A for the largest group.
func groupCell(g *client.Agreement, member string) render.Cell {
	for n, group := range g.Groups {
		if slices.Contains(group.Members, member) {
			tone := render.Warn
			if n == 0 {
				tone = render.Good
			}
			return render.Cell{Text: string(rune('A'+n%26)) + " " + group.Hash, Tone: tone}
		}
	}
	return render.Cell{Text: "(no key)", Tone: render.Bad}
}

func (a *app) diffCommand() *cobra.Command {
	var heartbeats bool
	var slack time.Duration
	c := &cobra.Command{
		Use:   "diff MEMBER MEMBER",
		Short: "Field by field, in what do two members' views differ, and who is behind?",
		Long: `Compare the views of two gossip members, named or by address: every field that differs, both values, and which of the two has the
older entry. Heartbeats always differ a little; --heartbeats compares them too. The exit code is 1 when they differ.`,
		Example: "  ringctl diff ingester-0-1a2b3c4d ingester-1-5e6f7a8b\n  ringctl diff 10.0.0.5:7946 10.0.0.6:7946 --heartbeats --slack 30s",
		Args:    cobra.ExactArgs(2), ValidArgsFunction: a.completeGossip,
		RunE: func(c *cobra.Command, args []string) error {
			cl, err := a.client()
			if err != nil {
				return err
			}
			var got [2]*client.Snapshot
			for i := range got {
				if got[i], err = cl.SnapshotFrom(c.Context(), args[i]); err != nil {
					return err
				}
			}
			found := client.Compare(got[0], got[1], heartbeats, slack)
			if err := a.print(diffDocument(got[0].From, got[1].From, found)); err != nil {
				return err
			}
			if len(found) > 0 {
				return &client.Error{Code: client.CodeNo, Err: fmt.Errorf("%d differences", len(found))}
			}
			a.say("no difference")
			return nil
		},
	}
	c.Flags().BoolVar(&heartbeats, "heartbeats", false, "compare heartbeats too")
	c.Flags().DurationVar(&slack, "slack", 30*time.Second, "heartbeats may differ by this much")
	return c
}

func (a *app) completeGossip(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.live(c, func(s *client.Snapshot) []string {
		var out []string
		for _, m := range s.Members {
			out = append(out, m.Name)
		}
		return out
	})
}

func diffDocument(from, to string, found []client.Difference) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "RING"}, {Title: "KIND"}, {Title: "ID"}, {Title: "FIELD"}, {Title: from}, {Title: to}, {Title: "BEHIND"}}}
	if found == nil {
		found = []client.Difference{}
	}
	d := &render.Document{Kind: "DifferenceList", Data: found, Table: t}
	for _, f := range found {
		d.Names = append(d.Names, f.ID)
		behind := map[string]string{"a": from, "b": to}[f.Behind]
		t.Add(f.Key, f.Kind, f.ID, f.Field, f.A, f.B, behind)
	}
	return d
}
