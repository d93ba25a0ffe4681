package trace

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/prototext"
)

var rewrite = flag.Bool("rewrite", false, "write what the stories print into testdata")

// A story is a text file of steps, separated by empty lines: a command with
// arguments, its input, "----", and what it prints.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { tell(t, file) })
	}
}

func tell(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, step := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		head, _, found := strings.Cut(step, "\n----\n")
		if !found {
			out = append(out, step) // a remark
			continue
		}
		var command, input string
		for rest := head; ; {
			line, more, _ := strings.Cut(rest, "\n")
			if strings.HasPrefix(line, "#") {
				rest = more
				continue
			}
			command, input = line, more
			break
		}
		got := head + "\n----\n" + strings.TrimRight(run(t, strings.Fields(command), input), "\n")
		if got != step && !*rewrite {
			t.Errorf("%s\n%s\nprints\n%s", file, step, got)
		}
		out = append(out, got)
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(strings.Join(out, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func run(t *testing.T, args []string, input string) string {
	switch args[0] {
	case "batch":
		return describe(parseText(t, input))
	case "hex":
		raw, err := hex.DecodeString(strings.Join(strings.Fields(input), ""))
		if err != nil {
			t.Fatal(err)
		}
		return describe(raw)
	case "tojson":
		var o JSONOptions
		for _, a := range args[1:] {
			switch a {
			case "base64":
				o.Base64IDs = true
			case "names":
				o.EnumNames = true
			case "batches":
				o.Batches = true
			}
		}
		text, err := AppendJSON(nil, parseText(t, input), o)
		return result(string(text), err)
	case "fromjson":
		raw, err := FromJSON(nil, []byte(input))
		if err != nil {
			return err.Error()
		}
		text, err := AppendJSON(nil, raw, JSONOptions{})
		return result(string(text), err)
	case "id":
		id, err := ParseID(input)
		return result(fmt.Sprintf("%s token %d", id, Token("single-tenant", id)), err)
	}
	t.Fatalf("unknown command %q", args[0])
	return ""
}

func result(s string, err error) string {
	if err != nil {
		return err.Error()
	}
	return s
}

func parseText(t *testing.T, input string) []byte {
	var d tracepb.TracesData
	if err := prototext.Unmarshal([]byte(input), &d); err != nil {
		t.Fatalf("%v\n%s", err, input)
	}
	return mustMarshal(t, &d)
}

func describe(raw []byte) string {
	var b Batch
	if err := b.ResetChecked(raw); err != nil {
		return err.Error()
	}
	s := fmt.Sprintf("%d spans, %d traces, %d rejected\n", b.Spans(), b.Traces(), b.Rejected())
	for t := range b.Traces() {
		s += fmt.Sprintf("%s: %d spans, %d bytes\n", b.TraceID(t), b.TraceSpans(t), b.TraceBytes(t))
	}
	for _, bad := range b.Bad() {
		s += fmt.Sprintf("%s (%s)\n", bad, bad.Reason)
	}
	return s
}
