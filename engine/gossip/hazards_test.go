package gossip

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestHazardsAreHeld reads docs/hazards.md: every line of a table must name a test, and every test named must exist, with
// its story or vector file if it names one.
func TestHazardsAreHeld(t *testing.T) {
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "hazards.md"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("`([a-z][a-z/0-9]*) ((?:Test|Fuzz)[A-Za-z]+)(?:/([a-z_.-]+))?`")
	hazards := 0
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| hazard ") {
			continue
		}
		hazards++
		tests := name.FindAllStringSubmatch(line, -1)
		if len(tests) == 0 {
			t.Errorf("no test holds: %s", line)
		}
		for _, m := range tests {
			if !hasTest(t, filepath.Join(root, m[1]), m[2]) {
				t.Errorf("%s has no %s", m[1], m[2])
			}
			if m[3] != "" && !hasStory(t, filepath.Join(root, m[1], "testdata"), m[3]) {
				t.Errorf("%s %s has no file %s", m[1], m[2], m[3])
			}
		}
	}
	if hazards < 50 {
		t.Errorf("only %d hazards were found in the page", hazards)
	}
}

// hasTest looks for the function in the test files of a directory.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}

// hasStory looks for a file, which may be compressed.
func hasStory(t *testing.T, dir, name string) (found bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		found = found || err == nil && strings.TrimSuffix(d.Name(), ".gz") == name
		return err
	})
	if err != nil {
		t.Errorf("stories: %v", err)
	}
	return found
}
