package frontend

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/ringctl/ringctl/engine/query/querytest"
	"github.com/ringctl/ringctl/engine/trace"
)

var rewrite = flag.Bool("rewrite", false, "write the expected output of the stories anew")

// TestPartialStories asks a cluster in which a block is gone and a keeper is down.
// A line "> path" (not escaped, TRACE for the id of a trace that two keepers have)
// is followed by "= status: what the answer says of itself".
func TestPartialStories(t *testing.T) {
	const file = "testdata/partial.txt"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewSource(1))
	s := scatter(t, r, querytest.Random(1, 40))
	id := shared(t, idsOf(t, s.heads[1]), idsOf(t, s.heads[0]))
	mux := http.NewServeMux()
	s.frontend().Routes(mux)
	var out []string
	for line := range strings.SplitSeq(strings.TrimSuffix(string(data), "\n"), "\n") {
		if strings.HasPrefix(line, "= ") {
			continue
		}
		out = append(out, line)
		switch rest, ok := strings.CutPrefix(line, "> "); {
		case strings.HasPrefix(line, "! gone "):
			delete(s.blocks, strings.TrimPrefix(line, "! gone "))
		case strings.HasPrefix(line, "! down "):
			s.down = strings.TrimPrefix(line, "! down ")
		case ok:
			text := ofItself(mux, strings.ReplaceAll(rest, "TRACE", id.String()))
			out = append(out, "= "+strings.ReplaceAll(text, "\n", "\n= "))
		}
	}
	got := strings.Join(out, "\n") + "\n"
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != string(data) {
		t.Errorf("got\n%s", got)
	}
}

// ofItself is what an answer says of itself.
func ofItself(mux http.Handler, path string) string {
	path, params, _ := strings.Cut(path, "?")
	q := url.Values{}
	for param := range strings.SplitSeq(params, "&") {
		if k, v, ok := strings.Cut(param, "="); ok {
			q.Set(k, v)
		}
	}
	w := call(mux, http.MethodGet, path+"?"+q.Encode())
	if w.Code != http.StatusOK {
		return fmt.Sprintf("%d: %s", w.Code, strings.TrimSpace(w.Body.String()))
	}
	var says struct{ Status, Message string }
	if err := json.Unmarshal(w.Body.Bytes(), &says); err != nil {
		return err.Error()
	}
	if warning := w.Header().Get("Warning"); warning != "" {
		says.Status, says.Message = "Warning", warning
	}
	if says.Status == "" {
		return "200: complete"
	}
	return fmt.Sprintf("200: %s: %s", says.Status, says.Message)
}

// shared is the first id that both lists have.
func shared(t *testing.T, a, b []trace.ID) trace.ID {
	t.Helper()
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return x
			}
		}
	}
	t.Fatal("no id in common")
	return trace.ID{}
}

func idsOf(t *testing.T, m *querytest.Memory) []trace.ID {
	t.Helper()
	traces, err := m.Traces(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return traces.IDs
}
