package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/doctor"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
	"github.com/ringctl/ringctl/cmd/ringctl/monitor"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// severityRank reads a --fail-on flag.
func severityRank(s string) (int, error) {
	rank, ok := map[string]int{"warning": client.Warning.Rank(), "critical": client.Critical.Rank(), "never": 100}[s]
	if !ok {
		return 0, usage("--fail-on is warning, critical or never, not %q", s)
	}
	return rank, nil
}

func (a *app) doctorCommand() *cobra.Command {
	var failOn string
	var only []string
	var list bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "What is wrong, why, and the command that fixes it",
		Long: `Apply named rules to the views of all members. Each finding has a stable rule id, a severity, the cause, the evidence it rests on,
the command that cures it, and a page that explains it. The exit code is 1 when a finding is CRITICAL (see --fail-on).`,
		Example: "  ringctl doctor\n  ringctl doctor --fail-on=warning -o json\n  ringctl doctor --rule unhealthy-member,future-heartbeat\n  ringctl doctor --list",
		RunE: func(c *cobra.Command, _ []string) error {
			limit, err := severityRank(failOn)
			if err != nil {
				return err
			}
			if err := knownRules(only); err != nil {
				return err
			}
			if list {
				return a.print(rulesDocument())
			}
			views, failed, err := a.views(c.Context())
			if err != nil {
				return err
			}
			found := doctor.Diagnose(views, doctor.Options{Unreached: failed})
			if len(only) > 0 {
				found = slices.DeleteFunc(found, func(f doctor.Finding) bool { return !slices.Contains(only, f.Rule) })
			}
			if err := a.print(a.findingsDocument(found)); err != nil {
				return err
			}
			if len(found) == 0 {
				a.say("nothing found in %s with %d rules", document.Plural(len(views), "view"), len(doctor.Rules()))
				return nil
			}
			if found[0].Severity.Rank() >= limit {
				return &client.Error{Code: client.CodeNo, Err: fmt.Errorf("%s, the worst is %s: %s", client.Plural(len(found), "finding"), found[0].Severity, found[0].Rule)}
			}
			return nil
		},
	}
	c.Flags().StringVar(&failOn, "fail-on", "critical", "exit with 1 from this severity on: warning, critical, never")
	c.Flags().StringSliceVar(&only, "rule", nil, "only these `rules`")
	c.Flags().BoolVar(&list, "list", false, "list the rules instead")
	_ = c.RegisterFlagCompletionFunc("rule", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return ruleIDs(), cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

func ruleIDs() []string {
	var out []string
	for _, r := range doctor.Rules() {
		out = append(out, r.ID)
	}
	return out
}

func knownRules(only []string) error {
	ids := ruleIDs()
	for _, id := range only {
		if !slices.Contains(ids, id) {
			e := &client.Error{Code: client.CodeUsage, Err: fmt.Errorf("there is no rule %q", id), Hint: "ringctl doctor --list"}
			if near := client.Nearest(id, ids); len(near) > 0 {
				e.Hint = "did you mean " + strings.Join(near, ", ") + "?"
			}
			return e
		}
	}
	return nil
}

func rulesDocument() *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "RULE"}, {Title: "SEVERITY"}, {Title: "MEANING"}}}
	d := &render.Document{Kind: "RuleList", Data: doctor.Rules(), Table: t}
	for _, r := range doctor.Rules() {
		d.Names = append(d.Names, r.ID)
		t.Add(r.ID, document.VerdictCell(r.Severity), r.Title)
	}
	return d
}

// findingsDocument is prose for people, a table with -o wide and CSV.
func (a *app) findingsDocument(found []doctor.Finding) *render.Document {
	d := &render.Document{Kind: "FindingList", Data: found}
	if found == nil {
		d.Data = []doctor.Finding{}
	}
	t := &render.Table{Columns: []render.Column{{Title: "SEVERITY"}, {Title: "RULE"}, {Title: "RING"}, {Title: "SUBJECT"}, {Title: "CAUSE"}, {Title: "FIX"}}}
	var text strings.Builder
	for _, f := range found {
		d.Names = append(d.Names, f.Rule)
		t.Add(document.VerdictCell(f.Severity), f.Rule, f.Ring, f.Subject, f.Cause, f.Fix)
		where := strings.TrimSpace(f.Ring + " " + f.Subject)
		if where != "" {
			where += ": "
		}
		fmt.Fprintf(&text, "%s %s\n  %s%s\n", render.Paint(a.outColor(), document.VerdictTone(f.Severity), string(f.Severity)), f.Rule, where, f.Cause)
		for _, e := range f.Evidence {
			fmt.Fprintf(&text, "  - %s\n", e)
		}
		if f.Fix != "" {
			fmt.Fprintf(&text, "  fix: %s\n", f.Fix)
		}
		fmt.Fprintf(&text, "  see: %s\n", f.Doc)
	}
	if a.format.ForPeople() && !a.format.Wide() {
		d.Text = text.String()
		return d
	}
	d.Table = t
	return d
}

func (a *app) checkCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "check",
		Short: "One pass over all views, for monitoring systems",
		Long: `One pass over all views with an answer for monitoring: every ring with its worst verdict in any view, and whether all members agree.

Formats: table, json, nagios (one line and performance data, exit codes 0 ok, 1 warning, 2 critical, 3 unknown), prometheus
(text format for a textfile collector). Otherwise the exit code is 1 when the worst verdict is not OK.`,
		Example: "  ringctl check\n  ringctl check --format nagios\n  ringctl check --format prometheus > /var/lib/node_exporter/ringctl.prom",
		RunE: func(c *cobra.Command, _ []string) error {
			if !slices.Contains([]string{"table", "json", "nagios", "prometheus"}, format) {
				return usage("--format is table, json, nagios or prometheus, not %q", format)
			}
			views, failed, err := a.views(c.Context())
			if err != nil {
				if format == "nagios" {
					fmt.Fprintf(a.env.Stdout, "RINGS UNKNOWN - no member gave a view\n")
					return monitor.State{Exit: 3}
				}
				return err
			}
			items, worst := monitor.Checks(views, failed)
			switch format {
			case "nagios":
				return monitor.WriteNagios(a.env.Stdout, items, worst)
			case "prometheus":
				return monitor.WriteMetrics(a.env.Stdout, views, failed, diagnosed(views, failed))
			case "json":
				if a.format, err = render.ParseFormat("json"); err != nil {
					return err
				}
			}
			if err := a.print(monitor.Document(items)); err != nil {
				return err
			}
			if worst != client.OK {
				return &client.Error{Code: client.CodeNo, Err: errors.New(string(worst) + ": " + monitor.FirstProblem(items))}
			}
			return nil
		},
	}
	c.Flags().StringVar(&format, "format", "table", "table, json, nagios or prometheus")
	return c
}
