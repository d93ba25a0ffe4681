package query_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/traceql"
)

func storySpans(t testing.TB) [][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/spans.txt")
	if err != nil {
		t.Fatal(err)
	}
	otlp, err := querytest.ParseStory(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return otlp
}

// stories runs every "> query" line of the files and compares the lines after it, which start with "= ".
func stories(t *testing.T, glob string, run func(t *testing.T, q string) string) {
	files, err := filepath.Glob(glob)
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, line := range strings.Split(strings.TrimRight(string(data), "\n"), "\n") {
				if strings.HasPrefix(line, "= ") {
					continue
				}
				out = append(out, line)
				if q, ok := strings.CutPrefix(line, ">"); ok {
					for _, l := range strings.Split(run(t, strings.TrimSpace(q)), "\n") {
						out = append(out, "= "+l)
					}
				}
			}
			got := strings.Join(out, "\n") + "\n"
			if *rewrite {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(data) {
				t.Errorf("output differs; the first difference:\n%s", difference(string(data), got))
			}
		})
	}
}

func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	last := ""
	for i := range min(len(w), len(g)) {
		if strings.HasPrefix(w[i], ">") {
			last = w[i]
		}
		if w[i] != g[i] {
			return last + "\nwant " + w[i] + "\ngot  " + g[i]
		}
	}
	return "one is longer"
}

// TestSearchStories asks one segment, several sources in other codings, and the twin.
func TestSearchStories(t *testing.T) {
	otlp := storySpans(t)
	twin, err := querytest.NewTwin(otlp)
	if err != nil {
		t.Fatal(err)
	}
	layouts := [][]columnar.Source{{memory(t, otlp...)}}
	for seed := range int64(3) {
		layouts = append(layouts, spread(t, rand.New(rand.NewSource(seed)), otlp))
	}
	stories(t, "testdata/search/*.txt", func(t *testing.T, q string) string {
		answer := ""
		for i, sources := range layouts {
			res, err := query.Search(context.Background(), sources, query.SearchRequest{Query: q, Limit: 100})
			if err != nil {
				return "error: " + err.Error()
			}
			got := canonical(res)
			if i > 0 && got != answer {
				t.Errorf("%s: layout %d: got\n%s\nwant\n%s", q, i, got, answer)
			}
			answer = got
		}
		parsed, err := traceql.Parse(q)
		if err != nil {
			t.Fatal(err)
		}
		want, err := twin.Search(parsed)
		if err != nil {
			t.Fatal(err)
		}
		if want != answer {
			t.Errorf("%s: twin has\n%s\nengine\n%s", q, want, answer)
		}
		if answer == "" {
			return "nothing"
		}
		return answer
	})
}

// TestAnswerStories asks what is shown of traces and spans: at most two spans of a set.
func TestAnswerStories(t *testing.T) {
	otlp := storySpans(t)
	layouts := [][]columnar.Source{{memory(t, otlp...)}}
	for seed := range int64(3) {
		layouts = append(layouts, spread(t, rand.New(rand.NewSource(seed)), otlp))
	}
	stories(t, "testdata/answers/*.txt", func(t *testing.T, q string) string {
		text := ""
		for i, sources := range layouts {
			res, err := query.Search(context.Background(), sources, query.SearchRequest{Query: q, SpansPerSet: 2})
			if err != nil {
				return "error: " + err.Error()
			}
			got := shownText(res)
			if i > 0 && got != text {
				t.Errorf("%s: layout %d: got\n%s\nwant\n%s", q, i, got, text)
			}
			text = got
		}
		return text
	})
}

func shownText(r *query.SearchResult) string {
	var lines []string
	since := func(ns int64) time.Duration { return time.Duration(ns - querytest.Epoch) }
	for _, t := range r.Traces {
		services := ""
		for _, s := range t.Services {
			services += fmt.Sprintf(" %s %d/%d", s.Name, s.Errors, s.Spans)
		}
		lines = append(lines, fmt.Sprintf("%s: %s %q %v+%v;%s", strings.TrimLeft(t.ID.String(), "0"), t.RootService, t.RootName, since(t.Start), time.Duration(t.End-t.Start), services))
		for _, set := range t.Sets {
			lines = append(lines, fmt.Sprintf("  %d matched%s", set.Matched, attrsText(set.Attrs)))
			for _, s := range set.Spans {
				lines = append(lines, fmt.Sprintf("    %d %q %v+%v%s", binary.BigEndian.Uint64(s.ID[:]), s.Name, since(s.Start), time.Duration(s.Duration), attrsText(s.Attrs)))
			}
		}
	}
	if len(lines) == 0 {
		return "nothing"
	}
	return strings.Join(lines, "\n")
}

func attrsText(attrs []query.Attribute) string {
	text := ""
	for _, a := range attrs {
		text += " " + a.Key + "=" + showValue(a.Value)
	}
	return text
}
