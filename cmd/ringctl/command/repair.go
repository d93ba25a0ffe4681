package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/doctor"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// cure is one way to repair something.
type cure struct {
	What    string `json:"what"`
	Command string `json:"command,omitempty"`
	Cost    string `json:"cost"`
}

// repairItem is something broken and its cures: a document of kind RepairList.
type repairItem struct {
	Rule    string `json:"rule"`
	Ring    string `json:"ring,omitempty"`
	Subject string `json:"subject,omitempty"`
	Cause   string `json:"cause"`
	Cures   []cure `json:"cures"`
}

// cures is the table of what can be repaired, by the doctor's rule. RING and ID are replaced.
func cures() map[string][]cure {
	return map[string][]cure{
		"future-heartbeat": {
			{"Give the instance a new id (rename it, or move its StatefulSet ordinal), then remove the old entry.", "ringctl forget RING ID --force --confirm=ID", "The old id can never come back before the date in its heartbeat; the new one joins at once."},
			{"Remove the entry and never start that id again.", "ringctl forget RING ID --force --confirm=ID", "An instance with this id would fail to register (\"no change detected\") until the date in its heartbeat."},
			{"Stop all members at once, then start them: the state lives in memory only.", "", "A full outage. It is the only cure that lets the id come back."},
		},
		"duplicate-tokens": {
			{"Restart one of the two with an empty tokens file: it draws new tokens.", "", "Its keys move; while it restarts its replicas are missing (ringctl can-stop first)."},
		},
		"partition-owner-orphan": {
			{"Remove the owner, if its instance is gone for good.", "ringctl partition owner remove ID --yes", "None, when it really is gone: a running instance would have to restart to own its partition again."},
		},
		"partition-inactive-ownerless": {
			{"Remove the partition, once blocks hold its data.", "ringctl partition drain ID --remove --confirm=ID", "Data that only its former owners had is not found any more."},
		},
		"old-tombstone": {
			{"Find the member that carries it, and restart it.", "ringctl views", "One restart. Doing nothing is fine as long as the entry does not come back."},
		},
		"zero-heartbeat": {
			{"Remove the entry.", "ringctl forget RING ID --yes", "None: it was never healthy."},
		},
	}
}

func (a *app) repairCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "repair",
		Short: "Broken entries, their cures, and what each cure costs",
		Long: `List what is broken in the rings themselves (heartbeats from the future, duplicate tokens, orphaned owners, ownerless partitions)
with every known cure and its cost. It changes nothing: choose a cure, and run its command.`,
		Example: "  ringctl repair\n  ringctl repair -o json | jq -r '.items[].cures[].command'",
		RunE: func(c *cobra.Command, _ []string) error {
			views, failed, err := a.views(c.Context())
			if err != nil {
				return err
			}
			items := []repairItem{}
			for _, f := range doctor.Diagnose(views, doctor.Options{Unreached: failed}) {
				if known, ok := cures()[f.Rule]; ok {
					items = append(items, repairItem{Rule: f.Rule, Ring: f.Ring, Subject: f.Subject, Cause: f.Cause, Cures: fill(known, f)})
				}
			}
			if len(items) == 0 {
				a.say("nothing to repair in %s", client.Plural(len(views), "view"))
			}
			return a.print(repairDocument(items, a.format.ForPeople() && !a.format.Wide()))
		},
	}
}

func fill(known []cure, f doctor.Finding) []cure {
	out := slices.Clone(known)
	replace := strings.NewReplacer("RING", f.Ring, "ID", f.Subject)
	for i := range out {
		out[i].Command = replace.Replace(out[i].Command)
	}
	return out
}

// repairDocument is prose for people, a table with -o wide and CSV.
func repairDocument(items []repairItem, prose bool) *render.Document {
	d := &render.Document{Kind: "RepairList", Data: items}
	t := &render.Table{Columns: []render.Column{{Title: "RULE"}, {Title: "RING"}, {Title: "SUBJECT"}, {Title: "CURE"}, {Title: "COMMAND"}, {Title: "COST"}}}
	var text strings.Builder
	for _, it := range items {
		d.Names = append(d.Names, it.Subject)
		fmt.Fprintf(&text, "%s %s: %s\n", strings.TrimSpace(it.Ring+" "+it.Subject), it.Rule, it.Cause)
		for n, c := range it.Cures {
			t.Add(it.Rule, it.Ring, it.Subject, c.What, c.Command, c.Cost)
			fmt.Fprintf(&text, "  %d. %s\n", n+1, c.What)
			if c.Command != "" {
				fmt.Fprintf(&text, "     run:  %s\n", c.Command)
			}
			fmt.Fprintf(&text, "     cost: %s\n", c.Cost)
		}
	}
	if prose {
		d.Text = text.String()
	} else {
		d.Table = t
	}
	return d
}
