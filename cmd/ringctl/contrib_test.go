package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/ringctl/ringctl/client"
	"github.com/ringctl/ringctl/client/clienttest"
	"github.com/ringctl/ringctl/cmd/ringctl/command"
	"github.com/ringctl/ringctl/cmd/ringctl/monitor"
)

func contrib(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(repository, "contrib", filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// troubled is a small cluster with everything that has a metric: rings, a partition ring, a finding.
func troubled(t *testing.T) *clienttest.Cluster {
	t.Helper()
	c, err := clienttest.Start(t.Context(), clienttest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	now := time.Now()
	partitions, err := clienttest.Partitions(2, now, []string{"live-store-0"}, []string{"live-store-1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		c.Put("collectors/ring", clienttest.Edit(clienttest.Ring("ingester", 6, 64, now, "a", "b", "c"), "ingester-1", clienttest.Aged(now, time.Hour))),
		c.Put("collectors/live-store", clienttest.Ring("live-store", 2, 0, now, "a", "b")),
		c.PutPartitions("collectors/livestore-partitions", partitions),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

var (
	metricName = regexp.MustCompile(`\bringctl_[a-z_]+`)
	labelName  = regexp.MustCompile(`([a-z_]+)(?:=~?|!=)"|\$labels\.([a-z_]+)|\{\{([a-z_]+)\}\}`)
)

// exported are the metrics of serve on a cluster, each with its labels.
func exported(t *testing.T) map[string][]string {
	t.Helper()
	c, err := client.New(client.Config{Seeds: troubled(t).Seeds()})
	if err != nil {
		t.Fatal(err)
	}
	e := monitor.NewExporter(c, time.Minute, func(err error) { t.Error(err) }, func([]*client.Snapshot, map[string]error) []monitor.Finding {
		return []monitor.Finding{{Rule: "unhealthy-member", Severity: client.Warning}}
	})
	if err := e.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	page := httpGet(t, e.Handler())
	out := map[string][]string{}
	for line := range strings.SplitSeq(page, "\n") {
		if name := metricName.FindString(line); name != "" && !strings.HasPrefix(line, "#") {
			for _, m := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(line, -1) {
				out[name] = append(out[name], m[1])
			}
			out[name] = slices.Compact(slices.Sorted(slices.Values(append(out[name], ""))))
		}
	}
	return out
}

func httpGet(t *testing.T, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	defer s.Close()
	go func() { _ = s.Serve(l) }() // ends with Close
	return fetch(t, "http://"+l.Addr().String()+"/metrics")
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %v\n%s", url, resp.Status, err, body)
	}
	return string(body)
}

// uses checks that an expression uses metrics and labels that are exported, and returns the metrics.
func uses(t *testing.T, where, text string, known map[string][]string) []string {
	t.Helper()
	found := metricName.FindAllString(text, -1)
	var labels []string
	for _, name := range found {
		of, ok := known[name]
		if !ok {
			t.Errorf("%s uses %s, which is not exported", where, name)
		}
		labels = append(labels, of...)
	}
	for _, m := range labelName.FindAllStringSubmatch(text, -1) {
		if l := m[1] + m[2] + m[3]; len(found) > 0 && !slices.Contains(labels, l) {
			t.Errorf("%s uses the label %s, which %v do not have", where, l, found)
		}
	}
	return found
}

// TestDashboardAndRules: what the dashboard and the alerting rules use is exported, and everything that is exported is
// shown.
func TestDashboardAndRules(t *testing.T) {
	known := exported(t)
	shown := map[string]bool{}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal([]byte(contrib(t, "grafana/ringctl.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for _, q := range p.Targets {
			found := uses(t, "panel "+p.Title, q.Expr+" "+q.LegendFormat, known)
			if len(found) == 0 {
				t.Errorf("panel %s: %q uses no metric", p.Title, q.Expr)
			}
			for _, name := range found {
				shown[name] = true
			}
		}
	}
	for _, v := range dashboard.Templating.List {
		for _, name := range metricName.FindAllString(v.Definition, -1) {
			if _, ok := known[name]; !ok {
				t.Errorf("variable %s uses %s, which is not exported", v.Name, name)
			}
		}
	}
	for name := range known {
		if !shown[name] && name != "ringctl_ring_ranges_without_quorum" { // the dashboard shows the share of keys
			t.Errorf("no panel shows %s", name)
		}
	}
	alerts := rules(t)
	if len(alerts) < 10 {
		t.Errorf("%d rules", len(alerts))
	}
	for _, r := range alerts {
		uses(t, "alert "+r.Alert, r.Expr+" "+r.Annotations["summary"], known)
		if r.For == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || !strings.HasPrefix(r.Annotations["command"], "ringctl ") {
			t.Errorf("alert %s is not complete: %+v", r.Alert, r)
		}
		// $labels.ring and $labels.rule stand for names.
		understood(t, "alert "+r.Alert, regexp.MustCompile(`\{\{[^}]*\}\}`).ReplaceAllString(r.Annotations["command"], "ingester"))
	}
}

type alert struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func rules(t *testing.T) []alert {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal([]byte(contrib(t, "prometheus/ringctl-rules.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	var out []alert
	for _, g := range file.Groups {
		out = append(out, g.Rules...)
	}
	return out
}

// understood checks that ringctl accepts the words of a command line.
func understood(t *testing.T, where, line string) {
	t.Helper()
	var out, errs strings.Builder
	args := append(strings.Fields(strings.NewReplacer(`"`, "", "$ZONE", "zone-a").Replace(line))[1:], "--help")
	code := command.Run(context.Background(), command.Env{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }})
	if code != 0 || !strings.Contains(out.String(), "Usage:\n  ringctl "+args[0]) {
		t.Errorf("%s: %s: exit code %d: %s", where, line, code, errs.String())
	}
}

// TestActionIsUnderstood: every ringctl line of the example for GitHub Actions can be typed, and its environment is one
// that ringctl knows.
func TestActionIsUnderstood(t *testing.T) {
	var action struct {
		Jobs map[string]struct {
			Env   map[string]string
			Steps []struct{ Name, Run string }
		}
	}
	if err := yaml.Unmarshal([]byte(contrib(t, "github-actions/rolling-restart.yaml")), &action); err != nil {
		t.Fatal(err)
	}
	var seen []string
	for name, job := range action.Jobs {
		for _, s := range job.Steps {
			for line := range strings.SplitSeq(s.Run, "\n") {
				if strings.HasPrefix(line, "ringctl ") {
					understood(t, s.Name, line)
					seen = append(seen, strings.Fields(line)[1])
				}
			}
		}
		for k := range job.Env {
			if flag, ok := strings.CutPrefix(k, "RINGCTL_"); ok {
				understood(t, name, "ringctl status --"+strings.ToLower(strings.ReplaceAll(flag, "_", "-"))+"=3")
			}
		}
	}
	for _, want := range []string{"can-stop", "wait", "doctor"} {
		if !slices.Contains(seen, want) {
			t.Errorf("the example does not use %s: %v", want, seen)
		}
	}
}

// TestPrometheus lets a real Prometheus scrape ringctl serve, load the rules and fire one, and lets promtool judge rules
// and metrics.
func TestPrometheus(t *testing.T) {
	prometheus := os.Getenv("RINGCTL_TEST_PROMETHEUS")
	if prometheus == "" {
		t.Skip("set RINGCTL_TEST_PROMETHEUS to the path of prometheus, with promtool beside it")
	}
	promtool := filepath.Join(filepath.Dir(prometheus), "promtool")
	rulesDir := filepath.Join(repository, "contrib", "prometheus")
	for _, args := range [][]string{{"check", "rules", "ringctl-rules.yaml"}, {"test", "rules", "ringctl-rules-test.yaml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = rulesDir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	cluster := troubled(t)
	// Nobody sends heartbeats: those of the living count for longer than Prometheus may take to start and to look.
	seeds := []string{"--seeds", strings.Join(cluster.Seeds(), ","), "--heartbeat-timeout", "30m"}

	check := exec.Command(program(t, "ringctl"), append(seeds, "check", "--format", "prometheus")...)
	page, err := check.Output()
	if err != nil {
		t.Fatal(err)
	}
	judge := exec.Command(promtool, "check", "metrics")
	judge.Stdin = strings.NewReader(string(page))
	if out, err := judge.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}

	target := freeAddr(t)
	serve := run(t, program(t, "ringctl"), append(seeds, "serve", "--listen", target, "--interval", "1s")...)
	dir := t.TempDir()
	// The rule waits for 15 minutes; here it may fire at once.
	quick := regexp.MustCompile(`for: \d+m`).ReplaceAllString(contrib(t, "prometheus/ringctl-rules.yaml"), "for: 0s")
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yaml]\nscrape_configs: [{job_name: ringctl, static_configs: [{targets: [%q]}]}]\n", target)
	for name, text := range map[string]string{"rules.yaml": quick, "prometheus.yaml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	api := freeAddr(t)
	run(t, prometheus, "--config.file", filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", api)
	query := func(expr string) string {
		resp, err := http.Get("http://" + api + "/api/v1/query?query=" + url.QueryEscape(expr))
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		var answer struct {
			Data struct{ Result []struct{ Value [2]any } }
		}
		if json.Unmarshal(body, &answer) != nil || len(answer.Data.Result) == 0 {
			return string(body)
		}
		return fmt.Sprint(answer.Data.Result[0].Value[1])
	}
	eventually(t, "scraped", func() string { return query(`ringctl_ring_unhealthy_members{ring="ingester"}`) }, is("1"))
	eventually(t, "up", func() string { return query(`ringctl_up`) }, is("1"))
	eventually(t, "the doctor's finding", func() string { return query(`ringctl_findings{rule="unhealthy-member"}`) }, is("1"))
	eventually(t, "the alert", func() string {
		return query(`ALERTS{alertname="RingMemberUnhealthy",alertstate="firing",ring="ingester"}`)
	}, is("1"))
	for name := range exported(t) {
		if got := query("count(" + name + ") > 0"); strings.Contains(got, "{") {
			t.Errorf("prometheus has no %s: %s", name, got)
		}
	}

	for _, n := range cluster.Names() {
		if err := cluster.Kill(n); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "blind", func() string { return query(`ALERTS{alertname="RingctlBlind",alertstate="firing"}`) }, is("1"))
	eventually(t, "old values are gone", func() string { return query(`ringctl_ring_unhealthy_members`) }, has(`"result":[]`))
	if err := serve.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
}

// freeAddr is an address for a program to listen on. Its port is below those that
// systems give to connections, one of which could have it in the meantime.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(20_000+rand.IntN(10_000))))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port")
	return ""
}

// run starts a program that ends with the test.
func run(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(name), said.String())
		}
	})
	return cmd
}
