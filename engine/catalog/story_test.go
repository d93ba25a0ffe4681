package catalog

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/catalog/catalogtest"
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
			got := tell(t, string(want))
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

func tell(t *testing.T, text string) string {
	var out strings.Builder
	w := newWorld(t)
	inOutput := false
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if inOutput && strings.HasPrefix(line, "  ") {
			continue
		}
		inOutput = false
		fmt.Fprintln(&out, line)
		if rest, ok := strings.CutPrefix(line, "> "); ok {
			inOutput = true
			words := strings.Fields(rest)
			for l := range strings.SplitSeq(w.do(t, words[0], words[1:]), "\n") {
				if l != "" {
					fmt.Fprintln(&out, "  "+l)
				}
			}
		}
	}
	return out.String()
}

// world is a bucket, a catalog that reads it and a clock.
type world struct {
	now time.Time
	b   *catalogtest.Bucket
	c   *Catalog
	log bytes.Buffer
	mu  sync.Mutex
	ops map[string]int
	err error // of the next operation
}

func newWorld(t *testing.T) *world {
	w := &world{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), b: new(catalogtest.Bucket), ops: map[string]int{}}
	w.b.Now = func() time.Time { return w.now }
	w.b.Before = func(op, _ string) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ops[op]++
		err := w.err
		w.err = nil
		return err
	}
	w.restart(t)
	return w
}

func (w *world) restart(t *testing.T) {
	var err error
	quiet := slog.NewTextHandler(&w.log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == "time" {
			return slog.Attr{}
		}
		return a
	}})
	w.c, err = Open(w.b, Config{Poll: 30 * time.Second, Now: func() time.Time { return w.now }}, slog.New(quiet), nil)
	if err != nil {
		t.Fatal(err)
	}
}

// idOf is the block id of a name, nameOf the way back.
func idOf(name string) block.ID {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(name)).String()
}

func nameOf(id block.ID) string {
	for c := 'a'; c <= 'z'; c++ {
		if idOf(string(c)) == id {
			return string(c)
		}
	}
	return id
}

func named(text string) string {
	for c := 'a'; c <= 'z'; c++ {
		text = strings.ReplaceAll(text, idOf(string(c)), string(c))
	}
	return text
}

func (w *world) do(t *testing.T, cmd string, args []string) string {
	ctx := t.Context()
	tenantOf := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return "t"
	}
	switch cmd {
	case "put":
		w.put(t, args)
	case "later":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(d)
	case "restart":
		w.restart(t)
	case "fail":
		w.err = errors.New("the store is on strike")
	case "delete":
		return say(w.b.Delete(ctx, "t/"+idOf(args[0])+"/"+args[1]))
	case "garble":
		return say(w.b.Damage(strings.ReplaceAll(args[0], "BLOCK", idOf("a")), func(b []byte) []byte { return b[:len(b)/2] }))
	case "index":
		return say(w.index(t, tenantOf(0), args[1:]))
	case "poll":
		return w.poll(ctx)
	case "ready":
		return say(w.c.Ready())
	case "blocks":
		var names []string
		for _, m := range w.c.Blocks(tenantOf(0)) {
			names = append(names, nameOf(m.ID))
		}
		return strings.Join(names, " ")
	case "between":
		return w.between(t, args)
	case "tenants":
		return strings.Join(w.c.Tenants(), " ")
	default:
		t.Fatalf("command %s", cmd)
	}
	return ""
}

func say(err error) string {
	if err == nil {
		return ""
	}
	return named(err.Error())
}

// put stores a block that has a meta.json and two objects of the right size.
func (w *world) put(t *testing.T, args []string) {
	m := &block.Meta{Version: block.Version, Tenant: "t", ID: idOf(args[0]), Created: w.now, Start: w.now.Add(-time.Minute), End: w.now,
		Spans: 5, Traces: 1, DataBytes: 20, DataIndex: 10, ResourcesBytes: 7, Groups: []block.Group{{Rows: 5, Traces: 1}},
		Fields: []block.Field{{Scope: "span", Key: "k", Type: "string"}}}
	for _, a := range args[1:] {
		key, value, _ := strings.Cut(a, "=")
		switch key {
		case "tenant":
			m.Tenant = value
		case "replaces":
			for r := range strings.SplitSeq(value, ",") {
				m.Replaces = append(m.Replaces, idOf(r))
			}
		default:
			t.Fatalf("put %s", a)
		}
	}
	raw, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{block.DataName: make([]byte, 20), block.ResourcesName: make([]byte, 7), block.MetaName: raw} {
		if err := w.b.Put(t.Context(), block.Path(m.Tenant, m.ID)+name, bytes.NewReader(data), int64(len(data))); err != nil {
			t.Fatal(err)
		}
	}
}

// index writes the index of a tenant as the bucket is now, or says that it is of
// some time ago.
func (w *world) index(t *testing.T, tenantID string, ago []string) error {
	held, err := NewScanner(w.b).Scan(t.Context(), tenantID)
	if err != nil {
		return err
	}
	built := w.now
	if len(ago) > 0 {
		d, err := time.ParseDuration(ago[0])
		if err != nil {
			t.Fatal(err)
		}
		built = built.Add(-d)
	}
	return WriteIndex(t.Context(), w.b, tenantID, built, Visible(held[tenantID].Metas()))
}

// poll says what it took, and what was logged.
func (w *world) poll(ctx context.Context) string {
	clear(w.ops)
	w.log.Reset()
	err := w.c.Refresh(ctx)
	var out strings.Builder
	for _, op := range []string{"list", "get", "readat"} {
		if w.ops[op] > 0 {
			fmt.Fprintf(&out, "%s %d, ", op, w.ops[op])
		}
	}
	return strings.TrimSuffix(out.String(), ", ") + "\n" + named(w.log.String()) + say(err)
}

func (w *world) between(t *testing.T, args []string) string {
	at := func(s string) int64 {
		if s == "open" {
			return 0
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		return w.now.Add(-d).UnixNano()
	}
	var names []string
	for _, m := range w.c.Overlapping("t", at(args[0]), at(args[1])) {
		names = append(names, nameOf(m.ID))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
