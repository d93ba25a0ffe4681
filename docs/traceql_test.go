package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	storyRow  = regexp.MustCompile("(?m)^\\|.*\\| ((?:`[^`]*testdata/[^`]*` ?)+)\\| (\\d+) \\|$")
	storyFile = regexp.MustCompile("`([^`]+)`")
)

// TestStoriesOfTraceQLAreCounted: the table of traceql.md names every file of
// stories and has their numbers.
func TestStoriesOfTraceQLAreCounted(t *testing.T) {
	text, err := os.ReadFile("traceql.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, row := range storyRow.FindAllStringSubmatch(string(text), -1) {
		have, err := strconv.Atoi(row[2])
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, f := range storyFile.FindAllStringSubmatch(row[1], -1) {
			named[f[1]] = true
			want += storiesOf(t, filepath.Join("..", f[1]))
		}
		if have != want {
			t.Errorf("%s has %d stories, traceql.md says %d", row[1], want, have)
		}
	}
	for _, pattern := range []string{"engine/traceql/testdata/*.txt", "engine/query/testdata/*/*.txt"} {
		files, err := filepath.Glob("../" + pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, f := range files {
			if f = strings.TrimPrefix(f, "../"); !named[f] {
				t.Errorf("traceql.md does not name %s", f)
			}
		}
	}
}

// storiesOf counts the lines that ask.
func storiesOf(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.SplitSeq(string(text), "\n") {
		if strings.HasPrefix(line, ">") {
			n++
		}
	}
	return n
}

// TestIntrinsicsHaveStories: every spelling of the table is asked for somewhere.
func TestIntrinsicsHaveStories(t *testing.T) {
	text, err := os.ReadFile("traceql.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| name | also | is |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var stories strings.Builder
	files, err := filepath.Glob("../engine/query/testdata/search/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		stories.Write(b)
	}
	names := 0
	for row := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(row, "|")
		for _, m := range storyFile.FindAllStringSubmatch(strings.Join(cells[:min(3, len(cells))], "|"), -1) {
			names++
			if !strings.Contains(stories.String(), " "+m[1]+" ") {
				t.Errorf("no story asks for %s", m[1])
			}
		}
	}
	if names < 30 {
		t.Errorf("only %d names in the table", names)
	}
}
