package query_test

import (
	"math"
	"math/rand"
	"strconv"
	"strings"
	"testing"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/query"
	"github.com/ringctl/ringctl/engine/query/querytest"
)

// TestMetricsStories asks one segment and several sources in other codings.
func TestMetricsStories(t *testing.T) {
	otlp := storySpans(t)
	layouts := [][]columnar.Source{{memory(t, otlp...)}}
	for seed := range int64(3) {
		layouts = append(layouts, spread(t, rand.New(rand.NewSource(seed)), otlp))
	}
	stories(t, "testdata/metrics/*.txt", func(t *testing.T, q string) string {
		text := ""
		for i, sources := range layouts {
			req := query.MetricsRequest{Query: q, Start: querytest.Epoch, End: querytest.Epoch + 30e9, Step: 10e9}
			a, err := answer(t, sources, req)
			if err != nil {
				return "error: " + err.Error()
			}
			got := answerText(a)
			if i > 0 && got != text {
				t.Errorf("%s: layout %d: got\n%s\nwant\n%s", q, i, got, text)
			}
			text = got
		}
		return text
	})
}

func answerText(a *query.MetricsAnswer) string {
	var lines []string
	for i := range a.Series {
		var points []string
		for _, v := range a.Series[i].Values {
			p := "-"
			if !math.IsNaN(v) {
				p = strconv.FormatFloat(v, 'g', 6, 64)
			}
			points = append(points, p)
		}
		lines = append(lines, "{"+seriesText(&a.Series[i])+"} "+strings.Join(points, " "))
	}
	if len(lines) == 0 {
		return "nothing"
	}
	return strings.Join(append(lines, a.Partial...), "\n")
}
