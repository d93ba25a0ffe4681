package backendworker

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/catalog"
	"github.com/ringctl/ringctl/engine/catalog/catalogtest"
	"github.com/ringctl/ringctl/engine/compactor"
)

var rewrite = flag.Bool("rewrite", false, "write what the stories in testdata print")

// A story is a text file of "> command args" lines, each followed by what it prints. Other lines are for the reader.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newStory(t).tell(string(want))
			switch {
			case got == string(want):
			case *rewrite:
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			default:
				t.Errorf("%s goes differently now (-rewrite to accept):\n%s", file, got)
			}
		})
	}
}

// story is a bucket, workers by name and a reader.
type story struct {
	t       *testing.T
	b       *catalogtest.Bucket
	now     time.Time
	names   map[block.ID]string
	merged  int
	spans   int
	workers map[string]*Worker
	owns    map[string]bool // by worker
	rules   compactor.Config
	reader  *catalog.Catalog
	log     bytes.Buffer
	strike  string // operation that fails
}

// owner is what one worker of a story owns: all or nothing.
type owner struct {
	s    *story
	name string
}

func (o owner) Owns(uint32) bool { return o.s.owns[o.name] }

func newStory(t *testing.T) *story {
	s := &story{t: t, b: new(catalogtest.Bucket), now: launch, names: map[block.ID]string{}, workers: map[string]*Worker{}, owns: map[string]bool{},
		rules: compactor.Config{Retention: 24 * time.Hour, Delay: 10 * time.Minute, Abandon: 2 * time.Hour}}
	s.b.Now = func() time.Time { return s.now }
	s.b.Before = func(op, name string) error {
		if s.strike != "" && s.strike == op {
			return errors.New("the store is on strike")
		}
		return nil
	}
	var err error
	s.reader, err = catalog.Open(s.b, catalog.Config{Poll: poll, Now: s.b.Now}, quiet, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *story) tell(text string) string {
	var out strings.Builder
	inOutput := false
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if inOutput && strings.HasPrefix(line, "  ") {
			continue
		}
		inOutput = false
		fmt.Fprintln(&out, line)
		if rest, ok := strings.CutPrefix(line, "> "); ok {
			inOutput = true
			s.log.Reset()
			words := strings.Fields(rest)
			result := s.do(words[0], words[1:])
			for l := range strings.SplitSeq(s.name(s.log.String()+result), "\n") {
				if l != "" {
					fmt.Fprintln(&out, "  "+l)
				}
			}
		}
	}
	return out.String()
}

var (
	anID    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}`)
	anyTime = regexp.MustCompile(`took=\S+|bytes=\d+`)
)

// name replaces block ids by names; merged blocks are numbered as they appear.
func (s *story) name(text string) string {
	text = anID.ReplaceAllStringFunc(text, func(id string) string {
		if s.names[id] == "" {
			s.merged++
			s.names[id] = fmt.Sprintf("merged%d", s.merged)
		}
		return s.names[id]
	})
	return anyTime.ReplaceAllStringFunc(text, func(m string) string { return m[:strings.IndexByte(m, '=')+1] + "…" })
}

func (s *story) idOf(name string) block.ID {
	for id, n := range s.names {
		if n == name {
			return id
		}
	}
	s.t.Fatalf("no block %s", name)
	return ""
}

func (s *story) worker(name string) *Worker {
	if w := s.workers[name]; w != nil {
		return w
	}
	logger := slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == "time" {
			return slog.Attr{}
		}
		return a
	}}))
	w, err := New(Config{Dir: filepath.Join(s.t.TempDir(), name), Poll: 5 * time.Second, Stale: time.Minute, Now: s.b.Now, Compaction: s.rules,
		Tenant: func(tenantID string, c compactor.Config) (compactor.Config, bool) { return c, tenantID != "raw" }},
		s.b, owner{s, name}, logger, nil)
	if err == nil {
		err = w.clearScratch()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.workers[name], s.owns[name] = w, true
	return w
}

func (s *story) do(cmd string, args []string) string {
	ctx := s.t.Context()
	switch cmd {
	case "ship":
		s.ship(args)
	case "later":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			s.t.Fatal(err)
		}
		s.now = s.now.Add(d)
	case "strike":
		s.strike = ""
		if args[0] != "over" {
			s.strike = args[0]
		}
	case "upkeep":
		if err := s.worker(args[0]).Cycle(ctx); err != nil {
			return err.Error()
		}
	case "merge":
		if !s.worker(args[0]).MergeOne(ctx) {
			return "nothing to merge"
		}
	case "start":
		return s.start(ctx, args[0])
	case "finish":
		return s.finish(ctx, args[0])
	case "disown":
		s.owns[args[0]] = false
	case "cut":
		name := block.Path("t", s.idOf(args[0])) + args[1]
		if err := s.b.Damage(name, func(b []byte) []byte { return append(make([]byte, len(b)/2), b[len(b)/2:len(b)-8]...) }); err != nil {
			return err.Error()
		}
	case "garble":
		name := block.Path("t", s.idOf(args[0])) + args[1]
		if err := s.b.Damage(name, func(b []byte) []byte { return make([]byte, len(b)) }); err != nil {
			return err.Error()
		}
	case "put":
		if err := s.b.Put(ctx, block.Path("t", s.idOf(args[0]))+args[1], strings.NewReader("x"), 1); err != nil {
			return err.Error()
		}
	case "delete":
		if err := s.b.Delete(ctx, block.Path("t", s.idOf(args[0]))+args[1]); err != nil {
			return err.Error()
		}
	case "bucket":
		return s.objects()
	case "read":
		return s.read(ctx)
	default:
		s.t.Fatalf("command %s", cmd)
	}
	return ""
}

// ship NAME [spans=FIRST-LAST] [tenant=T] puts a block there whose spans ended
// just now.
func (s *story) ship(args []string) {
	tenantID, first, last := "t", s.spans+1, s.spans+4
	for _, a := range args[1:] {
		if v, ok := strings.CutPrefix(a, "tenant="); ok {
			tenantID = v
		} else if _, err := fmt.Sscanf(a, "spans=%d-%d", &first, &last); err != nil {
			s.t.Fatal(a, err)
		}
	}
	s.spans = max(s.spans, last)
	var list []catalogtest.Span
	for n := first; n <= last; n++ {
		list = append(list, catalogtest.Span{Trace: 1 + n/2, Number: n})
	}
	m := catalogtest.Ship(s.t, s.b, tenantID, s.now.Add(-time.Second), s.now, list)
	s.names[m.ID] = args[0]
}

// start merges and stops before the upload, as in a long pause.
func (s *story) start(ctx context.Context, name string) string {
	w := s.worker(name)
	job, ok := w.next()
	if !ok {
		return "nothing to merge"
	}
	dir := filepath.Join(w.cfg.Dir, "paused")
	m, err := compactor.Merge(ctx, s.b, job.Tenant, job, dir)
	if err != nil {
		return err.Error()
	}
	s.names[m.ID] = "late"
	return job.String()
}

// finish uploads what start made.
func (s *story) finish(ctx context.Context, name string) string {
	w := s.worker(name)
	dir := filepath.Join(w.cfg.Dir, "paused", "t", s.idOf("late"))
	raw, err := os.ReadFile(filepath.Join(dir, block.MetaName))
	if err != nil {
		s.t.Fatal(err)
	}
	m, err := block.ParseMeta(raw)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := compactor.Publish(ctx, s.b, dir, m, s.now); err != nil {
		return err.Error()
	}
	return ""
}

// objects lists the folders of the bucket.
func (s *story) objects() string {
	count := map[string]int{}
	for _, name := range s.b.Names() {
		folder, _ := filepath.Split(name)
		if strings.HasPrefix(name, catalog.IndexPrefix) {
			folder = name
		}
		count[s.name(folder)]++
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(count)) {
		if count[name] == 3 || strings.HasPrefix(name, "~") {
			out = append(out, strings.TrimSuffix(name, "/"))
		} else {
			out = append(out, fmt.Sprintf("%s (%d objects)", strings.TrimSuffix(name, "/"), count[name]))
		}
	}
	return strings.Join(out, "\n")
}

// read polls and reads everything.
func (s *story) read(ctx context.Context) string {
	if err := s.reader.Refresh(ctx); err != nil {
		return err.Error()
	}
	var out strings.Builder
	traces := make([]int, s.spans/2+1)
	for i := range traces {
		traces[i] = 1 + i
	}
	for _, t := range s.reader.Tenants() {
		var names []string
		for _, m := range s.reader.Blocks(t) {
			names = append(names, s.name(m.ID))
		}
		spans, err := catalogtest.Read(ctx, s.reader, t, s.reader.Blocks(t), traces)
		fmt.Fprintf(&out, "%s: %s: %s", t, strings.Join(names, " "), ranges(spans))
		if err != nil {
			fmt.Fprintf(&out, " %v", err)
		}
		fmt.Fprintln(&out)
	}
	return out.String()
}

// ranges prints numbers as 1-4 5x2 7.
func ranges(list []int) string {
	var out []string
	for i := 0; i < len(list); {
		k := i
		for k+1 < len(list) && list[k+1] == list[k] {
			k++
		}
		if n := k - i + 1; n > 1 {
			out = append(out, fmt.Sprintf("%dx%d", list[i], n))
			i = k + 1
			continue
		}
		first := list[i]
		for i+1 < len(list) && list[i+1] == list[i]+1 && (i+2 >= len(list) || list[i+2] != list[i+1]) {
			i++
		}
		if list[i] == first {
			out = append(out, fmt.Sprint(first))
		} else {
			out = append(out, fmt.Sprintf("%d-%d", first, list[i]))
		}
		i++
	}
	return strings.Join(out, " ")
}
