package query_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/traceql"
)

var rewrite = flag.Bool("rewrite", false, "write what the stories print into testdata")

// TestTagStory runs testdata/tags.txt: spans, then commands that start with ">" and what they print.
//
//	> tags [scope=…] [limit=…] [stale=…] [bytes=…] [from=…] [to=…] [q=the rest of the line]
//	> values TAG [the same]
func TestTagStory(t *testing.T) {
	const file = "testdata/tags.txt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	spans, script, _ := strings.Cut(string(text), "\n>")
	otlp, err := querytest.ParseStory(spans)
	if err != nil {
		t.Fatal(err)
	}
	var sources []columnar.Source
	for _, m := range otlp {
		sources = append(sources, memory(t, m))
	}
	var out strings.Builder
	out.WriteString(spans + "\n")
	lines := strings.Split(strings.TrimRight(">"+script, "\n"), "\n")
	for i := 0; i < len(lines); {
		command, ok := strings.CutPrefix(lines[i], ">")
		out.WriteString(lines[i] + "\n")
		if i++; !ok {
			continue // blank lines and comments
		}
		var want strings.Builder
		for ; i < len(lines) && lines[i] != "" && !strings.ContainsRune(">#", rune(lines[i][0])); i++ {
			want.WriteString(lines[i] + "\n")
		}
		got := tagCommand(sources, strings.TrimSpace(command))
		if got != want.String() && !*rewrite {
			t.Errorf("> %s\n%s\nwant\n%s", strings.TrimSpace(command), got, want.String())
		}
		out.WriteString(got)
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func tagCommand(sources []columnar.Source, line string) string {
	line, filter, _ := strings.Cut(line, " q=")
	words := strings.Fields(line)
	set := map[string]string{}
	for _, w := range words {
		if k, v, ok := strings.Cut(w, "="); ok {
			set[k] = v
		}
	}
	number := func(key string) int {
		n, _ := strconv.Atoi(set[key])
		return n
	}
	at := func(key string) int64 {
		if set[key] == "" {
			return 0
		}
		return querytest.Epoch + int64(number(key))*1e6
	}
	var b strings.Builder
	if words[0] == "tags" {
		req := query.TagsRequest{Query: filter, Limit: number("limit"), MaxStale: number("stale"), MaxBytes: number("bytes"), Start: at("from"), End: at("to")}
		for s := columnar.ScopeNone; s <= columnar.ScopeInstrumentation; s++ {
			if s.String() == set["scope"] {
				req.Scope = s
			}
		}
		res, err := query.Tags(context.Background(), sources, req)
		if err != nil {
			return err.Error() + "\n"
		}
		for _, s := range res.Scopes {
			fmt.Fprintf(&b, "%s: %s\n", s.Scope, strings.Join(s.Tags, " "))
		}
		return b.String() + end(res.Cut)
	}
	res, err := query.TagValues(context.Background(), sources, query.TagValuesRequest{Tag: words[1], Query: filter,
		Limit: number("limit"), MaxStale: number("stale"), MaxBytes: number("bytes"), Start: at("from"), End: at("to")})
	if err != nil {
		return err.Error() + "\n"
	}
	for _, v := range res.Values {
		fmt.Fprintf(&b, "%s %s\n", v.Type, v.Text())
	}
	return b.String() + end(res.Cut)
}

func end(cut bool) string {
	if cut {
		return "(more than the bytes allow)\n"
	}
	return ""
}

// broken is a source whose reads fail.
type broken struct{ columnar.Segment }

func (broken) Name() string                   { return "block 7" }
func (b broken) Segments() []columnar.Segment { return []columnar.Segment{b} }
func (broken) Table(context.Context, columnar.Scope) (*columnar.Table, error) {
	return nil, errors.New("gone")
}

func TestFailingSourceMakesTagsPartial(t *testing.T) {
	ctx := context.Background()
	m := memory(t, querytest.Random(1, 5)...)
	sources := []columnar.Source{broken{m}, m}
	want, err := query.Tags(ctx, []columnar.Source{m}, query.TagsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := query.Tags(ctx, sources, query.TagsRequest{})
	if err != nil || !reflect.DeepEqual(got.Scopes, want.Scopes) || !reflect.DeepEqual(got.Partial, []string{"block 7: gone"}) {
		t.Errorf("%v %+v", err, got)
	}
	values, err := query.TagValues(ctx, sources, query.TagValuesRequest{Tag: "resource.service.name"})
	if err != nil || len(values.Values) != 3 || len(values.Partial) != 1 {
		t.Errorf("%v %+v", err, values)
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := query.Tags(ctx, sources, query.TagsRequest{}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
}

func TestTagThatCannotBeRead(t *testing.T) {
	for _, tag := range []string{"", "x y", "{ .a }", "parent.a", "parent", "1"} {
		_, err := query.TagValues(context.Background(), nil, query.TagValuesRequest{Tag: tag})
		var syntax *traceql.Error
		var unsupported *query.UnsupportedError
		if !errors.As(err, &syntax) && !errors.As(err, &unsupported) {
			t.Errorf("%q: %v", tag, err)
		}
	}
}

func TestIntrinsicTagsCanBeRead(t *testing.T) {
	for _, name := range query.IntrinsicTags() {
		if a, err := traceql.ParseAttr(name); err != nil || a.Intrinsic == traceql.NotIntrinsic {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
}

// reader counts what is read besides dictionaries.
type reader struct {
	columnar.Segment
	reads *int
}

func (reader) Name() string                   { return "counted" }
func (r reader) Segments() []columnar.Segment { return []columnar.Segment{r} }

func (r reader) Columns(dst []columnar.Column, scope columnar.Scope, key string) []columnar.Column {
	from := len(dst)
	dst = r.Segment.Columns(dst, scope, key)
	for i := from; i < len(dst); i++ {
		dst[i] = countedColumn{dst[i], r.reads}
	}
	return dst
}

type countedColumn struct {
	columnar.Column
	reads *int
}

func (c countedColumn) Read(ctx context.Context, within columnar.Bitmap, dst *columnar.Vector) error {
	*c.reads++
	return c.Column.Read(ctx, within, dst)
}

func TestNoDataPageIsReadWithoutFilter(t *testing.T) {
	reads := 0
	sources := []columnar.Source{reader{memory(t, querytest.Random(3, 50)...), &reads}}
	for _, filter := range []string{"", "{}", "{ true }", "{ .a }", "{ name =", "{ status = }"} {
		if _, err := query.Tags(context.Background(), sources, query.TagsRequest{Query: filter}); err != nil {
			t.Fatal(err)
		}
		for _, tag := range []string{"name", "resource.a", "instrumentation:name", "statusMessage"} {
			if _, err := query.TagValues(context.Background(), sources, query.TagValuesRequest{Tag: tag, Query: filter}); err != nil {
				t.Fatal(err)
			}
		}
		if reads != 0 {
			t.Errorf("%s: %d columns read", filter, reads)
		}
	}
	if _, err := query.TagValues(context.Background(), sources, query.TagValuesRequest{Tag: "name", Query: `{ kind = server }`}); err != nil || reads == 0 {
		t.Errorf("with a filter: %v, %d columns read", err, reads)
	}
}
