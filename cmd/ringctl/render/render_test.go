package render

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the expected output in testdata")

func sample() *Document {
	t := &Table{Columns: []Column{{Title: "ID"}, {Title: "STATE"}, {Title: "TOKENS", Right: true}, {Title: "NOTE", Wide: true}}}
	t.Add("ingester-0", Cell{"ACTIVE", Good}, 512, "")
	t.Add("ingester-十", Cell{"LEAVING", Warn}, 7, "two words")
	t.Add("evil\x1b[2Jname", Cell{"ACTIVE", Good}, 0, "ACTIVE")
	return &Document{
		Kind: "InstanceList",
		View: &View{From: "n-1", At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Mode: "observe"},
		Data: []map[string]any{
			{"id": "ingester-0", "state": "ACTIVE", "tokens": 512, "ok": true},
			{"id": "ingester-1", "state": "LEAVING", "tokens": 7, "version": "1.10", "ok": false},
		},
		Table: t,
		Names: []string{"ingester-0", "ingester-1"},
	}
}

// TestFormats runs testdata/*.txt: the first line is the value of -o (with "color" or "no-headers" after a
// blank), the rest is the expected output.
func TestFormats(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, want, _ := strings.Cut(string(raw), "\n")
			format, options, _ := strings.Cut(first, " & ")
			f, err := ParseFormat(format)
			var got string
			if err != nil {
				got = "error: " + err.Error() + "\n"
			} else {
				var out bytes.Buffer
				l := Layout{Color: strings.Contains(options, "color"), NoHeaders: strings.Contains(options, "no-headers")}
				if err := f.Write(&out, sample(), l, strings.Contains(options, "stream")); err != nil {
					t.Fatal(err)
				}
				got = strings.ReplaceAll(out.String(), "\x1b", "ESC")
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(first+"\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestNoTrailingBlanks(t *testing.T) {
	var out bytes.Buffer
	if err := sample().Table.Write(&out, Layout{Wide: true}); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(out.String(), "\n") {
		if strings.HasSuffix(line, " ") {
			t.Errorf("trailing blanks: %q", line)
		}
	}
}

func FuzzJSONPath(f *testing.F) {
	for _, s := range []string{"{.items[*].id}", "{range .items[*]}{.id}{\"\\n\"}{end}", "{.a[?(@.b==\"c\")]}", "{.a[-1]['x']}", "{", "[", "{range x}"} {
		f.Add(s)
	}
	v := map[string]any{"items": []any{map[string]any{"id": "x", "b": "c"}}}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parseJSONPath(s)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := p.execute(&out, v); err != nil {
			t.Fatal(err)
		}
	})
}
