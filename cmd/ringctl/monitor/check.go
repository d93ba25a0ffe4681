package monitor

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/cmd/ringctl/document"
	"github.com/ringctl/ringctl/cmd/ringctl/render"
)

// Check is one line of a check: a document of kind CheckList.
type Check struct {
	Name    string         `json:"name"`
	Verdict client.Verdict `json:"verdict"`
	Text    string         `json:"text"`
	// WriteMargin and ReadMargin are how many more members may fail; absent where there is no quorum.
	WriteMargin *int `json:"writeMargin,omitempty"`
	ReadMargin  *int `json:"readMargin,omitempty"`
	Members     int  `json:"members"`
	Healthy     int  `json:"healthy"`
}

// State is an answer in the Nagios convention, as an error: Exit is 1 for a warning, 2 for critical, 3 for unknown.
type State struct{ Exit int }

// Error names the state.
func (e State) Error() string { return fmt.Sprintf("nagios state %d", e.Exit) }

// Checks merges the views: the worst verdict counts.
func Checks(views []*client.Snapshot, failed map[string]error) ([]Check, client.Verdict) {
	byName := map[string]*Check{}
	var names []string
	take := func(it Check) {
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
			it := Check{Name: r.Name, Verdict: r.Verdict, Text: r.Problem, Members: len(r.Instances), Healthy: r.HealthyCount}
			if r.Write != nil {
				it.WriteMargin, it.ReadMargin = &r.Write.Margin, &r.Read.Margin
			}
			take(it)
		}
		for i := range v.PartitionRings {
			s := document.StatusOfPartitions(&v.PartitionRings[i])
			take(Check{Name: s.Name, Verdict: s.Verdict, Text: s.Problem, Members: s.Members, Healthy: s.Healthy})
		}
	}
	slices.Sort(names)
	report := document.ReportViews(views, failed)
	agree := Check{Name: "views", Verdict: client.OK, Text: report.Disagreement(), Members: len(views) + len(failed), Healthy: len(views)}
	if agree.Text != "" {
		agree.Verdict = client.Warning
		if len(report.Islands) > 1 {
			agree.Verdict = client.Critical
		}
	}
	worst := agree.Verdict
	items := []Check{}
	for _, n := range names {
		items = append(items, *byName[n])
		worst = worst.Worse(byName[n].Verdict)
	}
	return append(items, agree), worst
}

// FirstProblem is the worst problem in words, "" when there is none.
func FirstProblem(items []Check) string {
	var worst *Check
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

// Document lists checks: kind CheckList.
func Document(items []Check) *render.Document {
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

// WriteNagios prints one line with performance data and returns the state as an exit code.
func WriteNagios(w io.Writer, items []Check, worst client.Verdict) error {
	state := map[client.Verdict]int{client.OK: 0, client.Warning: 1, client.Critical: 2, client.Unknown: 3}[worst]
	words := FirstProblem(items)
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
	return State{Exit: state}
}
