package membership

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
)

var rewrite = flag.Bool("rewrite", false, "write what the stories in testdata print")

// A story is a text file: "> command args" lines, each followed by the lines it prints. Lines that begin
// with # and empty lines are for the reader.

// teller executes the commands of a story and gives what they print.
type teller func(cmd string, args args) string

// tellStories runs each file of a folder: around gets a function that tells the story with a teller.
func tellStories(t *testing.T, dir string, around func(t *testing.T, tell func(teller))) {
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories in %s: %v", dir, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			around(t, func(exec teller) { got = retell(string(want), exec) })
			if got == string(want) {
				return
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s: %s", file, firstDifference(string(want), got))
		})
	}
}

func retell(text string, exec teller) string {
	var out strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "> "):
			out.WriteString(line + "\n")
			fields := strings.Fields(line[2:])
			if s := strings.TrimRight(exec(fields[0], fields[1:]), "\n"); s != "" {
				out.WriteString(s + "\n")
			}
		case line == "" || strings.HasPrefix(line, "#"):
			out.WriteString(line + "\n")
		}
	}
	return out.String()
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		a, b := "(end)", "(end)"
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return fmt.Sprintf("line %d\nwant: %s\n got: %s\n\nwhole story as it goes now:\n%s", i+1, a, b, got)
		}
	}
	return "same"
}

// args are the words behind a command: names, and key=value pairs.
type args []string

func (a args) name(i int) string {
	if i < len(a) {
		return a[i]
	}
	return ""
}

func (a args) get(key, otherwise string) string {
	for _, s := range a {
		if v, ok := strings.CutPrefix(s, key+"="); ok {
			return v
		}
	}
	return otherwise
}

func (a args) num(key string, otherwise int) int {
	n, err := strconv.Atoi(a.get(key, strconv.Itoa(otherwise)))
	if err != nil {
		panic(fmt.Sprintf("%s: %v", key, err))
	}
	return n
}

func (a args) duration(key string, otherwise time.Duration) time.Duration {
	return duration(a.get(key, otherwise.String()))
}

func (a args) flag(key string, otherwise bool) bool {
	return a.get(key, strconv.FormatBool(otherwise)) == "true"
}

func duration(s string) time.Duration {
	d, err := time.ParseDuration(strings.TrimPrefix(s, "+"))
	if err != nil {
		panic(err)
	}
	return d
}

func tokens(s string) []uint32 {
	var out []uint32
	for part := range strings.SplitSeq(s, ",") {
		if part == "" {
			continue
		}
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			panic(err)
		}
		out = append(out, uint32(n))
	}
	return out
}

// describe prints an instance in one line; times are relative to now.
func describe(inst ring.Instance, now time.Time) string {
	s := fmt.Sprintf("%s %s beat=%+ds tokens=%d", inst.ID, inst.State, inst.Timestamp-now.Unix(), len(inst.Tokens))
	if inst.RegisteredTimestamp != 0 {
		s += fmt.Sprintf(" registered=%+ds", inst.RegisteredTimestamp-now.Unix())
	}
	if inst.ReadOnlyUpdatedTimestamp != 0 {
		s += fmt.Sprintf(" readonly=%t", inst.ReadOnly)
	}
	if inst.Addr != "" && inst.Addr != inst.ID+":1" {
		s += " addr=" + inst.Addr
	}
	return s
}
