package command

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/doctor"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
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
		Args:    cobra.NoArgs,
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
				a.say("nothing found in %d views with %d rules", len(views), len(doctor.Rules()))
				return nil
			}
			if found[0].Severity.Rank() >= limit {
				return &client.Error{Code: client.CodeNo, Err: fmt.Errorf("%d findings, the worst is %s: %s", len(found), found[0].Severity, found[0].Rule)}
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

// checkItem is one line of a check: a document of kind CheckList.
type checkItem struct {
	Name    string         `json:"name"`
	Verdict client.Verdict `json:"verdict"`
	Text    string         `json:"text"`
	// WriteMargin and ReadMargin are how many more members may fail; absent where there is no quorum.
	WriteMargin *int `json:"writeMargin,omitempty"`
	ReadMargin  *int `json:"readMargin,omitempty"`
	Members     int  `json:"members"`
	Healthy     int  `json:"healthy"`
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
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !slices.Contains([]string{"table", "json", "nagios", "prometheus"}, format) {
				return usage("--format is table, json, nagios or prometheus, not %q", format)
			}
			views, failed, err := a.views(c.Context())
			if err != nil {
				if format == "nagios" {
					fmt.Fprintf(a.env.Stdout, "RINGS UNKNOWN - no member gave a view\n")
					return errNagios{exit: 3}
				}
				return err
			}
			items, worst := checkItems(views, failed)
			switch format {
			case "nagios":
				return writeNagios(a.env.Stdout, items, worst)
			case "prometheus":
				return writeMetrics(a.env.Stdout, views, failed)
			case "json":
				if a.format, err = render.ParseFormat("json"); err != nil {
					return err
				}
			}
			if err := a.print(checkDocument(items)); err != nil {
				return err
			}
			if worst != client.OK {
				return &client.Error{Code: client.CodeNo, Err: errors.New(string(worst) + ": " + firstProblem(items))}
			}
			return nil
		},
	}
	c.Flags().StringVar(&format, "format", "table", "table, json, nagios or prometheus")
	return c
}

// errNagios carries an exit code of the Nagios convention.
type errNagios struct{ exit int }

func (e errNagios) Error() string { return fmt.Sprintf("nagios state %d", e.exit) }

// checkItems merges the views: the worst verdict document.counts.
func checkItems(views []*client.Snapshot, failed map[string]error) ([]checkItem, client.Verdict) {
	byName := map[string]*checkItem{}
	var names []string
	take := func(it checkItem) {
		have := byName[it.Name]
		if have == nil {
			names = append(names, it.Name)
		}
		if have == nil || it.Verdict.Rank() > have.Verdict.Rank() {
			byName[it.Name] = &it
		}
	}
	for _, v := range views {
		for i := range v.Rings {
			r := &v.Rings[i]
			it := checkItem{Name: r.Name, Verdict: r.Verdict, Text: r.Problem, Members: len(r.Instances), Healthy: r.HealthyCount}
			if r.Write != nil {
				it.WriteMargin, it.ReadMargin = &r.Write.Margin, &r.Read.Margin
			}
			take(it)
		}
		for i := range v.PartitionRings {
			s := document.StatusOfPartitions(&v.PartitionRings[i])
			take(checkItem{Name: s.Name, Verdict: s.Verdict, Text: s.Problem, Members: s.Members, Healthy: s.Healthy})
		}
	}
	slices.Sort(names)
	report := document.ReportViews(views, failed)
	agree := checkItem{Name: "views", Verdict: client.OK, Text: report.Disagreement(), Members: len(views) + len(failed), Healthy: len(views)}
	if agree.Text != "" {
		agree.Verdict = client.Warning
		if len(report.Islands) > 1 {
			agree.Verdict = client.Critical
		}
	}
	worst := agree.Verdict
	items := []checkItem{}
	for _, n := range names {
		items = append(items, *byName[n])
		worst = worst.Worse(byName[n].Verdict)
	}
	return append(items, agree), worst
}

func firstProblem(items []checkItem) string {
	var worst *checkItem
	for i := range items {
		if items[i].Verdict != client.OK && (worst == nil || items[i].Verdict.Rank() > worst.Verdict.Rank()) {
			worst = &items[i]
		}
	}
	if worst == nil {
		return ""
	}
	return worst.Name + ": " + worst.Text
}

func checkDocument(items []checkItem) *render.Document {
	t := &render.Table{Columns: []render.Column{{Title: "CHECK"}, {Title: "VERDICT"}, {Title: "HEALTHY"}, {Title: "WRITE", Right: true}, {Title: "READ", Right: true}, {Title: "PROBLEM"}}}
	d := &render.Document{Kind: "CheckList", Data: items, Table: t}
	for _, it := range items {
		d.Names = append(d.Names, it.Name)
		t.Add(it.Name, document.VerdictCell(it.Verdict), fmt.Sprintf("%d/%d", it.Healthy, it.Members), marginText(it.WriteMargin), marginText(it.ReadMargin), it.Text)
	}
	return d
}

func marginText(m *int) string {
	if m == nil {
		return "-"
	}
	return fmt.Sprintf("%+d", *m)
}

// writeNagios prints one line with performance data and returns the state as an exit code.
func writeNagios(w io.Writer, items []checkItem, worst client.Verdict) error {
	state := map[client.Verdict]int{client.OK: 0, client.Warning: 1, client.Critical: 2, client.Unknown: 3}[worst]
	words := firstProblem(items)
	if words == "" {
		words = fmt.Sprintf("%d checks", len(items))
	}
	var perf []string
	for _, it := range items {
		label := strings.NewReplacer("'", "", "=", "", " ", "_").Replace(it.Name)
		perf = append(perf, fmt.Sprintf("'%s'=%d;;;0;%d", label, it.Healthy, it.Members))
	}
	if _, err := fmt.Fprintf(w, "RINGS %s - %s | %s\n", worst, strings.ReplaceAll(words, "|", "/"), strings.Join(perf, " ")); err != nil {
		return err
	}
	if state == 0 {
		return nil
	}
	return errNagios{exit: state}
}
