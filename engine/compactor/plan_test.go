package compactor

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/block"
)

var rewrite = flag.Bool("rewrite", false, "write what the stories say now into testdata")

// Stories: "block NAME end=AGO created=AGO level=N spans=N [replaces=a,b]" lines
// describe blocks, "plan [retention=D]" prints the jobs and ends a scene.
func TestPlanStories(t *testing.T) {
	files, err := filepath.Glob("testdata/plan/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := tell(t, want)
			if *rewrite {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			} else if !bytes.Equal(got, want) {
				t.Errorf("%s tells another story; -rewrite to accept:\n%s", file, got)
			}
		})
	}
}

func tell(t *testing.T, story []byte) []byte {
	t.Helper()
	now := time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC)
	var out bytes.Buffer
	var metas []*block.Meta
	sc := bufio.NewScanner(bytes.NewReader(story))
	for sc.Scan() {
		line := sc.Text()
		if strings.HasPrefix(line, "  ") {
			continue // output of the last run
		}
		fmt.Fprintln(&out, line)
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		switch words[0] {
		case "block":
			metas = append(metas, readBlock(t, words[1:], now))
		case "plan":
			var cfg Config
			if len(words) > 1 {
				cfg.Retention = duration(t, strings.TrimPrefix(words[1], "retention="))
			}
			for _, j := range Plan(metas, cfg, now) {
				fmt.Fprintf(&out, "  %s %s: %s\n", j.Kind, strings.Join(j.Inputs, " "), j.Reason)
			}
			metas = nil
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	return out.Bytes()
}

func readBlock(t *testing.T, words []string, now time.Time) *block.Meta {
	t.Helper()
	m := &block.Meta{Tenant: "t", ID: words[0], Spans: 1000}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "end":
			m.End = now.Add(-duration(t, v))
		case "created":
			m.Created = now.Add(-duration(t, v))
		case "level":
			fmt.Sscan(v, &m.Level)
		case "spans":
			fmt.Sscan(v, &m.Spans)
		case "replaces":
			m.Replaces = strings.Split(v, ",")
		}
	}
	return m
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
