package recent

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/trace"
	"github.com/ringctl/ringctl/engine/wal"
	"github.com/ringctl/ringctl/engine/wal/waltest"
)

var rewrite = flag.Bool("rewrite", false, "write what the stories print into testdata")

// limited is a store with limits and a clock, told what to do by a story.
type limited struct {
	t      *testing.T
	dir    string
	disk   *waltest.Disk
	now    time.Time
	limits Limits
	s      *Store
	span   uint64
}

func (w *limited) open() {
	w.t.Helper()
	var err error
	w.s, err = Open(Config{Dir: w.dir, Now: func() time.Time { return w.now }, WAL: wal.Options{FS: w.disk}, HoldBack: 5 * time.Second, MaxAge: time.Minute,
		Limits: func(string) Limits { return w.limits }}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		w.t.Fatal(err)
	}
}

func traceNamed(name string) trace.ID { return trace.ID{name[0], 1} }

func namesOf(ids []trace.ID) string {
	var out []string
	for _, id := range ids {
		out = append(out, string(id[:1]))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// spans makes an export of parts such as a*3 (trace a, three spans) or a*1/900 (of
// 900 bytes each).
func (w *limited) spans(parts []string) []byte {
	var b trace.Builder
	b.SetResource(&trace.Group{})
	b.SetScope(&trace.Group{})
	for _, p := range parts {
		name, rest, _ := strings.Cut(p, "*")
		count, size, _ := strings.Cut(rest, "/")
		n, err := strconv.Atoi(count)
		if err != nil {
			w.t.Fatal(err)
		}
		bytes := 100
		if size != "" {
			if bytes, err = strconv.Atoi(size); err != nil {
				w.t.Fatal(err)
			}
		}
		for range n {
			w.span++
			s := trace.Span{TraceID: traceNamed(name), Start: 1, End: 2}
			binary.BigEndian.PutUint64(s.SpanID[:], w.span)
			s.Name = []byte(strings.Repeat("x", bytes-len(trace.AppendSpan(nil, &s))-4))
			b.AddSpan(&s)
		}
	}
	return b.Append(nil)
}

func (w *limited) do(line string) string {
	f := strings.Fields(line)
	switch f[0] {
	case "limit":
		for i := 1; i < len(f); i += 2 {
			n, err := strconv.Atoi(f[i+1])
			if err != nil {
				w.t.Fatal(err)
			}
			if f[i] == "traces" {
				w.limits.Traces = n
			} else {
				w.limits.TraceBytes = int64(n)
			}
		}
		return ""
	case "push":
		err := w.s.Push(w.t.Context(), "t", w.spans(f[1:]))
		var refused *RefusedError
		if errors.As(err, &refused) {
			said := "too many: " + namesOf(refused.TooMany) + "; too large: " + namesOf(refused.TooLarge)
			return said + "\n" + err.Error()
		}
		return fmt.Sprint("kept ", err)
	case "after":
		d, err := time.ParseDuration(f[1])
		if err != nil {
			w.t.Fatal(err)
		}
		w.now = w.now.Add(d)
		w.s.turn(w.t.Context())
		return ""
	case "lives":
		d, err := time.ParseDuration(f[1])
		if err != nil {
			w.t.Fatal(err)
		}
		w.s.cfg.HoldBack = d
		return ""
	case "cut", "hold":
		t, err := w.s.tenant("t")
		if err == nil {
			err = w.s.cut(w.t.Context(), t, f[0] == "hold")
		}
		if err == nil {
			err = w.s.sealAll(t)
		}
		return fmt.Sprint("cut ", err)
	case "crash":
		w.disk = w.disk.Crash(rand.New(rand.NewPCG(1, 1)))
		w.open()
		return ""
	case "have":
		return w.have(f[1:])
	}
	w.t.Fatalf("no such command: %s", line)
	return ""
}

// have counts the spans that are found of each trace.
func (w *limited) have(names []string) string {
	var out []string
	for _, name := range names {
		otlp, err := w.s.FindTrace(context.Background(), "t", traceNamed(name), nil)
		if err != nil {
			w.t.Fatal(err)
		}
		var b trace.Batch
		if err := b.Reset(otlp); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s %d", name, b.Spans()))
	}
	return strings.Join(out, ", ")
}

// TestLimitsStory runs the stories of testdata/limits.txt.
func TestLimitsStory(t *testing.T) {
	const file = "testdata/limits.txt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for story := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		w := &limited{t: t, dir: t.TempDir(), disk: waltest.New(), now: time.Unix(1_700_000_000, 0)}
		w.open()
		var told strings.Builder
		for line := range strings.SplitSeq(story, "\n") {
			switch {
			case strings.HasPrefix(line, "#"):
				told.WriteString(line + "\n")
			case strings.HasPrefix(line, "> "):
				told.WriteString(line + "\n")
				if said := w.do(line[2:]); said != "" {
					told.WriteString(said + "\n")
				}
			}
		}
		if err := w.s.Close(); err != nil {
			t.Error(err)
		}
		got := strings.TrimRight(told.String(), "\n")
		if got != story && !*rewrite {
			t.Errorf("the story\n%s\nbecame\n%s", story, got)
		}
		out = append(out, got)
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(strings.Join(out, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLimitsLaw throws dice and compares with a twin that remembers every span:
// no trace grows over its bytes while it lives, no more traces live than may, and
// nothing is refused that would have fit.
func TestLimitsLaw(t *testing.T) {
	for seed := range uint64(30) {
		dice := rand.New(rand.NewPCG(seed, 5))
		w := &limited{t: t, dir: t.TempDir(), disk: waltest.New(), now: time.Unix(1_700_000_000, 0), limits: Limits{Traces: 1 + dice.IntN(8), TraceBytes: int64(500 + dice.IntN(3000))}}
		w.open()
		// Bytes in the head, and in earlier ones: those count as long as the trace lives.
		head, past, last := map[trace.ID]int64{}, map[trace.ID]int64{}, map[trace.ID]time.Time{}
		alive := func(id trace.ID) bool {
			at, ok := last[id]
			return ok && w.now.Sub(at) < 5*time.Second
		}
		for range 120 {
			switch dice.IntN(12) {
			case 0:
				w.do("cut")
				for id, n := range head {
					past[id] += n
				}
				clear(head)
			case 1, 2:
				w.now = w.now.Add(time.Duration(dice.IntN(4000)) * time.Millisecond)
			}
			var parts []string
			for range 1 + dice.IntN(3) {
				parts = append(parts, fmt.Sprintf("%c*%d/%d", 'a'+dice.IntN(12), 1+dice.IntN(4), 60+dice.IntN(500)))
			}
			otlp := w.spans(parts)
			var b trace.Batch
			if err := b.Reset(otlp); err != nil {
				t.Fatal(err)
			}
			err := w.s.Push(t.Context(), "t", otlp)
			var refused *RefusedError
			if err != nil && !errors.As(err, &refused) {
				t.Fatal(err)
			}
			if refused == nil {
				refused = &RefusedError{}
			}
			live := 0
			for id := range last {
				if alive(id) {
					live++
				}
			}
			for i := range b.Traces() {
				id := b.TraceID(i)
				if head[id] == 0 && !alive(id) {
					past[id] = 0
				}
				size := head[id] + past[id]
				large := size+int64(b.TraceBytes(i)) > w.limits.TraceBytes
				many := !large && !alive(id) && live >= w.limits.Traces
				if slices.Contains(refused.TooLarge, id) != large || slices.Contains(refused.TooMany, id) != many {
					t.Fatalf("seed %d: trace %c has %d bytes and gets %d of %d; %d of %d live; refused %v", seed, id[0], size, b.TraceBytes(i), w.limits.TraceBytes, live, w.limits.Traces, refused)
				}
				if large || many {
					continue
				}
				if !alive(id) {
					live++
				}
				head[id] += int64(b.TraceBytes(i))
				last[id] = w.now
			}
		}
		if err := w.s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A push with more traces over a limit than can be named is refused whole.
func TestCrowdIsRefusedWhole(t *testing.T) {
	s := small(t, Config{Limits: func(string) Limits { return Limits{Traces: 10} }})
	var b trace.Builder
	b.SetResource(&trace.Group{})
	b.SetScope(&trace.Group{})
	for i := range uint32(maxRefused + 11) {
		span := trace.Span{SpanID: trace.SpanID{1}, Start: 1, End: 2}
		binary.BigEndian.PutUint32(span.TraceID[:], i+1)
		b.AddSpan(&span)
	}
	err := s.Push(t.Context(), "t", b.Append(nil))
	var retry interface{ RetryIn() time.Duration }
	if !errors.As(err, &retry) || retry.RetryIn() <= 0 || !strings.Contains(err.Error(), "4097 traces") {
		t.Errorf("err = %v", err)
	}
	if len(s.Tenants()) != 0 {
		t.Error("some of it was kept")
	}
}
