package traceql

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the expected output of the stories anew")

// TestCorpus reads testdata/*.txt: a line "> query" (with \n for a new line) is followed by "= canonical text" in the
// accept files and by "! error" in the reject files.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) { corpusFile(t, f) })
	}
}

func corpusFile(t *testing.T, name string) {
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	accept := strings.HasPrefix(filepath.Base(name), "accept")
	var out []string
	for _, line := range strings.Split(strings.TrimRight(string(data), "\n"), "\n") {
		if strings.HasPrefix(line, "= ") || strings.HasPrefix(line, "! ") {
			continue
		}
		out = append(out, line)
		text, ok := strings.CutPrefix(line, "> ")
		if !ok {
			continue
		}
		text = strings.ReplaceAll(text, `\n`, "\n")
		q, err := Parse(text)
		if (err == nil) != accept {
			t.Errorf("%s\n%s", text, explain(err))
		}
		if err != nil {
			if err.(*Error).Suggestion == "" {
				t.Errorf("%s\n%s\nno suggestion", text, explain(err))
			}
			out = append(out, "! "+strings.ReplaceAll(err.Error(), "\n", `\n`))
			continue
		}
		out = append(out, "= "+q.String())
		roundTrip(t, q)
	}
	got := strings.Join(out, "\n") + "\n"
	if *rewrite {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != string(data) {
		t.Errorf("output differs:\n%s", firstDifference(string(data), got))
	}
}

func explain(err error) string {
	if err == nil {
		return "accepted, must be rejected"
	}
	return err.(*Error).Caret()
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return "want " + w[i] + "\ngot  " + g[i]
		}
	}
	return "one is longer"
}

// roundTrip checks that the printed query parses to an equal tree.
func roundTrip(t *testing.T, q *Query) {
	t.Helper()
	text := q.String()
	again, err := Parse(text)
	if err != nil {
		t.Errorf("%s: does not parse again: %v", text, err)
		return
	}
	clearPositions(reflect.ValueOf(q))
	clearPositions(reflect.ValueOf(again))
	if !reflect.DeepEqual(q, again) {
		t.Errorf("%s: parses to another tree: %s", text, again)
	}
}

// clearPositions sets every field named Pos to 0.
func clearPositions(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			clearPositions(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			clearPositions(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name == "Pos" {
				v.Field(i).SetInt(0)
				continue
			}
			clearPositions(v.Field(i))
		}
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, name := range files {
		data, _ := os.ReadFile(name)
		for _, line := range strings.Split(string(data), "\n") {
			if text, ok := strings.CutPrefix(line, "> "); ok {
				f.Add(strings.ReplaceAll(text, `\n`, "\n"))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := Parse(text)
		if err != nil {
			e := err.(*Error)
			if e.Line < 1 || e.Col < 1 || e.Caret() == "" {
				t.Fatalf("%q: place %d:%d", text, e.Line, e.Col)
			}
			return
		}
		roundTrip(t, q)
	})
}

func TestLimits(t *testing.T) {
	for name, text := range map[string]string{
		"size":     "{ .a = \"" + strings.Repeat("x", MaxQueryBytes) + "\" }",
		"brackets": "{ " + strings.Repeat("(", 5000) + ".a" + strings.Repeat(")", 5000) + " }",
		"not":      "{ " + strings.Repeat("!", 5000) + ".a }",
		"power":    "{ .a " + strings.Repeat("^ .a ", 5000) + "= 1 }",
		"spansets": strings.Repeat("(", 5000) + "{ }" + strings.Repeat(")", 5000),
		"minus":    strings.Repeat("-", 5000) + "1 < count()",
		"regex":    "{ .a =~ \"" + strings.Repeat("x", MaxRegexBytes+1) + "\" }",
		"repeat":   "{ .a =~ \"((a{100}){100}){100}\" }",
	} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	long := "{ .a = 1" + strings.Repeat(" || .a = 1", 9000) + " }"
	q, err := Parse(long)
	if err != nil {
		t.Fatal(err)
	}
	if q.String() != long {
		t.Error("a long chain prints differently")
	}
}

func TestCaret(t *testing.T) {
	_, err := Parse("{ .a = 1 } |\n count(.b) > 2")
	want := " count(.b) > 2\n       ^ expected \")\", found \".b\"\n  count() takes no argument"
	if err == nil || err.(*Error).Caret() != want {
		t.Errorf("got\n%s", err.(*Error).Caret())
	}
}

func TestParseAttr(t *testing.T) {
	for text, want := range map[string]string{
		"resource.service.name": "resource.service.name", ".x": ".x", "name": "name", "span:name": "name",
		`span."a b"`: `span."a b"`, "event:name": "event:name", " .x ": ".x",
	} {
		if a, err := ParseAttr(text); err != nil || a.String() != want {
			t.Errorf("%s: %v, %v", text, a, err)
		}
	}
	for _, text := range []string{"", "x", ".x .y", "1", ".a + 1", "{ .a }", "(.a", "-.a"} {
		if a, err := ParseAttr(text); err == nil {
			t.Errorf("%s: accepted as %s", text, a)
		}
	}
}
