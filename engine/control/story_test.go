package control

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/kv/memkv"
	"github.com/ringctl/ringctl/engine/membership"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
	"github.com/ringctl/ringctl/engine/ringapi"
)

var rewrite = flag.Bool("rewrite", false, "write what the stories and pages in testdata are now")

// A story is a text file: "> command words" lines, each followed by the lines it prints. Lines that begin
// with # and empty lines are for the reader.

func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/stories/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			s := newStage(t)
			compareGolden(t, file, func(want string) string { return retell(want, s.exec) })
		})
	}
}

// compareGolden compares a file with what make gives for it, or rewrites it.
func compareGolden(t *testing.T, file string, make func(want string) string) {
	t.Helper()
	want, err := os.ReadFile(file)
	if err != nil && !*rewrite {
		t.Fatal(err)
	}
	got := make(string(want))
	if got == string(want) {
		return
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	w, g := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		if i >= len(w) || i >= len(g) || w[i] != g[i] {
			t.Fatalf("%s: line %d is\n%s\nand was\n%s", file, i+1, at(g, i), at(w, i))
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(end)"
}

func retell(text string, exec func(words []string) string) string {
	var out strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "> "):
			out.WriteString(line + "\n")
			if s := strings.TrimRight(exec(words(line[2:])), "\n"); s != "" {
				out.WriteString(s + "\n")
			}
		case line == "" || strings.HasPrefix(line, "#"):
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}

// words splits at blanks, except inside '…'.
func words(s string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`[^\s']*'[^']*'|\S+`).FindAllString(s, -1) {
		out = append(out, strings.ReplaceAll(m, "'", ""))
	}
	return out
}

// stage is one server with a store in memory, and a clock that a story moves.
type stage struct {
	t     *testing.T
	now   time.Time
	store *memkv.Store
	audit string
	cfg   Config
	http  http.Handler
	down  *fakeDownscaler
}

const adminToken = "sesame-sesame-sesame"

var epoch = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func newStage(t *testing.T) *stage {
	dir := t.TempDir()
	s := &stage{t: t, now: epoch, store: memkv.New(), audit: filepath.Join(dir, "audit.jsonl"), down: &fakeDownscaler{}}
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte(adminToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.cfg = Config{
		Cluster: "prod-eu", Server: "tempod-0", TokenFile: token, AuditFile: s.audit, QueryHorizon: 30 * time.Minute,
		Rings: []Ring{
			{Name: "ingester", Title: "Ingester ring", Key: "collectors/ring", Path: "/ingester/ring", Store: s.store,
				Lookup: ring.Config{ReplicationFactor: 3, ZoneAwareness: true, HeartbeatTimeout: time.Minute}},
			{Name: "live-store", Title: "Live-store ring", Key: "collectors/live-store", Path: "/live-store/ring", Store: s.store,
				Lookup: ring.Config{HeartbeatTimeout: time.Minute}},
		},
		PartitionRings: []PartitionRing{{Name: "livestore-partitions", Title: "Partition ring", Key: "collectors/livestore-partitions",
			Path: "/partition-ring", Store: s.store, Instances: "live-store"}},
		Now: func() time.Time { return s.now },
		Home: Home{
			Facts: []Fact{{"target", "ingester,live-store"}, {"gossip", "10.0.0.1:7946"}},
			Links: []Link{{"/metrics", "Metrics", "of this process, for Prometheus"}},
			Ready: func() error { return errors.New("ingester: <no> tokens yet") },
		},
	}
	s.open()
	return s
}

// open makes the handler of the configuration as it is now.
func (s *stage) open() {
	c, err := New(s.cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	c.gate.secret = []byte("a secret that stays the same in tests")
	s.http = c.Handler()
}

func (s *stage) exec(w []string) string {
	switch w[0] {
	case "ring":
		s.putRing(w[1], parsePairs(w[2:]))
	case "partition":
		s.putPartition(parsePairs(w[1:]))
	case "owner":
		s.putOwner(w[1], parsePairs(w[2:]))
	case "show":
		return s.show(w[1])
	case "wait":
		d, err := time.ParseDuration(w[1])
		if err != nil {
			return err.Error()
		}
		s.now = s.now.Add(d)
	case "changes-off":
		s.cfg.TokenFile = ""
		s.open()
	case "downscaler":
		s.cfg.Downscaler, s.cfg.DownscaleWithoutCredential = s.down, w[1] == "open"
		s.down.part = partition.Partition{ID: 1, State: partition.Active, StateTimestamp: s.now.Unix()}
		s.down.now = s.cfg.Now
		s.open()
	case "audit-broken":
		s.cfg.AuditFile = filepath.Join(s.audit, "no", "such", "dir")
		s.open()
	case "audit":
		return s.showAudit()
	case "GET", "POST", "DELETE", "PUT":
		return s.request(w)
	default:
		return "unknown command " + w[0]
	}
	return ""
}

type pairs map[string]string

func parsePairs(w []string) pairs {
	out := pairs{}
	for _, s := range w {
		k, v, _ := strings.Cut(s, "=")
		out[k] = v
	}
	return out
}

func (p pairs) ago(s *stage, key string) int64 {
	if p[key] == "" {
		return s.now.Unix()
	}
	d, err := time.ParseDuration(p[key])
	if err != nil {
		s.t.Fatal(err)
	}
	return s.now.Add(-d).Unix()
}

func (s *stage) putRing(key string, p pairs) {
	state, _ := ring.ParseState(p["state"])
	var tokens []uint32
	if err := json.Unmarshal([]byte("["+p["tokens"]+"]"), &tokens); err != nil {
		s.t.Fatal(err)
	}
	s.editRing(key, func(d *ring.Desc) {
		d.Instances[p["id"]] = ring.Instance{ID: p["id"], Addr: p["id"] + ":9095", Zone: p["zone"], State: state, Tokens: tokens,
			Timestamp: p.ago(s, "beat"), RegisteredTimestamp: p.ago(s, "since")}
	})
}

func (s *stage) editRing(key string, f func(*ring.Desc)) {
	err := membership.Rings(s.store).CAS(context.Background(), key, func(d *ring.Desc) (*ring.Desc, bool, error) {
		if d == nil {
			d = ring.NewDesc()
		}
		f(d)
		return d, true, nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) editPartitions(f func(*partition.Desc)) {
	err := membership.PartitionRings(s.store).CAS(context.Background(), "collectors/livestore-partitions", func(d *partition.Desc) (*partition.Desc, bool, error) {
		if d == nil {
			d = partition.NewDesc()
		}
		f(d)
		return d, true, nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) putPartition(p pairs) {
	state, _ := partition.ParseState(p["state"])
	id, err := parsePartition(p["id"])
	if err != nil {
		s.t.Fatal(err)
	}
	s.editPartitions(func(d *partition.Desc) {
		d.Partitions[id] = partition.Partition{ID: id, State: state, StateTimestamp: p.ago(s, "since"), Tokens: []uint32{uint32(id)*1000 + 1, uint32(id)*1000 + 2},
			StateChangeLocked: p["locked"] == "true", StateChangeLockedTimestamp: p.ago(s, "since")}
	})
}

func (s *stage) putOwner(name string, p pairs) {
	id, err := parsePartition(p["of"])
	if err != nil {
		s.t.Fatal(err)
	}
	s.editPartitions(func(d *partition.Desc) {
		d.Owners[name] = partition.Owner{OwnedPartition: id, State: partition.OwnerActive, UpdatedTimestamp: p.ago(s, "since")}
	})
}

// show prints what the store holds, tombstones too.
func (s *stage) show(key string) string {
	var b strings.Builder
	if key == "partitions" {
		d, err := membership.PartitionRings(s.store).Get(context.Background(), "collectors/livestore-partitions")
		if err != nil || d == nil {
			return fmt.Sprint("nothing ", err)
		}
		for _, id := range slices.Sorted(maps.Keys(d.Partitions)) {
			fmt.Fprintf(&b, "%d %s\n", id, linePartition(d.Partitions[id]))
		}
		for _, o := range slices.Sorted(maps.Keys(d.Owners)) {
			fmt.Fprintf(&b, "%s owns %d, %s\n", o, d.Owners[o].OwnedPartition, d.Owners[o].State)
		}
		return b.String()
	}
	d, err := membership.Rings(s.store).Get(context.Background(), key)
	if err != nil || d == nil {
		return fmt.Sprint("nothing ", err)
	}
	for _, id := range slices.Sorted(maps.Keys(d.Instances)) {
		fmt.Fprintf(&b, "%s %s\n", id, lineInstance(d.Instances[id]))
	}
	return b.String()
}

func (s *stage) showAudit() string {
	raw, err := os.ReadFile(s.audit)
	if err != nil {
		return "no audit file"
	}
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(string(raw)), "\n") {
		var a ringapi.Audit
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			return err.Error()
		}
		fmt.Fprintf(&b, "%s %s %s %s %q: %s -> %s %s\n", a.Time.Format(time.TimeOnly), a.Actor, a.Action, a.Subject, a.Reason, a.Before, a.After, a.Error)
	}
	return b.String()
}

// request sends METHOD PATH and key=value fields. Special fields: bearer, csrf (valid, old, none), site, accept, json.
func (s *stage) request(w []string) string {
	p := parsePairs(w[2:])
	special := map[string]bool{"bearer": true, "csrf": true, "site": true, "accept": true, "json": true}
	form := url.Values{}
	for k, v := range p {
		if !special[k] {
			form.Set(k, v)
		}
	}
	path, _, _ := strings.Cut(w[1], "?")
	switch p["csrf"] {
	case "valid":
		form.Set("csrf", s.sign(path, s.now))
	case "old":
		form.Set("csrf", s.sign(path, s.now.Add(-2*time.Hour)))
	case "other":
		form.Set("csrf", s.sign("/another/page", s.now))
	}
	body, contentType := form.Encode(), "application/x-www-form-urlencoded"
	if strings.HasPrefix(w[1], ringapi.Prefix) {
		body, contentType = p["json"], "application/json"
	}
	req := httptest.NewRequest(w[0], w[1], strings.NewReader(body))
	if w[0] == http.MethodPost {
		req.Header.Set("Content-Type", contentType)
	}
	req.RemoteAddr = "10.0.0.7:5555"
	if p["bearer"] != "" {
		req.Header.Set("Authorization", "Bearer "+p["bearer"])
	}
	if p["site"] != "" {
		req.Header.Set("Sec-Fetch-Site", p["site"])
	}
	req.Header.Set("Accept", p["accept"])
	rec := httptest.NewRecorder()
	s.http.ServeHTTP(rec, req)
	return strings.ReplaceAll(describe(rec), filepath.Dir(s.audit), "DIR")
}

func (s *stage) sign(path string, now time.Time) string {
	g := gate{secret: []byte("a secret that stays the same in tests")}
	return g.sign(path, now)
}

func describe(rec *httptest.ResponseRecorder) string {
	out := fmt.Sprintf("%d", rec.Code)
	if l := rec.Header().Get("Location"); l != "" {
		out += " Location: " + l
	}
	if rec.Body.Len() > 0 {
		out += " " + rec.Header().Get("Content-Type")
	}
	if !strings.HasPrefix(rec.Header().Get("Content-Type"), "text/html") && rec.Body.Len() > 0 {
		out += "\n" + rec.Body.String()
	}
	return out
}

// fakeDownscaler is a partition of one's own, without a ring around it.
type fakeDownscaler struct {
	part     partition.Partition
	prepared bool
	now      func() time.Time
}

func (f *fakeDownscaler) Key() string                          { return "collectors/livestore-partitions" }
func (f *fakeDownscaler) Current() (partition.Partition, bool) { return f.part, true }
func (f *fakeDownscaler) DownscalePrepared() bool              { return f.prepared }

func (f *fakeDownscaler) ChangeState(_ context.Context, to partition.State) error {
	d := partition.NewDesc()
	d.Partitions[f.part.ID] = f.part
	_, err := partition.ChangeState(d, f.part.ID, to, f.now())
	f.part = d.Partitions[f.part.ID]
	return err
}

func (f *fakeDownscaler) PrepareDownscale(context.Context) error {
	if f.part.State != partition.Inactive {
		return fmt.Errorf("prepare: %w", membership.ErrNotInactive)
	}
	f.prepared = true
	return nil
}

func (f *fakeDownscaler) CancelDownscale(context.Context) error {
	f.prepared = false
	return nil
}
