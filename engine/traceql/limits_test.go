package traceql

import (
	"fmt"
	"strings"
	"testing"
)

func times(n int, sep string, f func(i int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = f(i)
	}
	return strings.Join(parts, sep)
}

func same(text string) func(int) string { return func(int) string { return text } }

// TestLimitsOfQueries has for each limit a query at it and one over it.
func TestLimitsOfQueries(t *testing.T) {
	number := func(i int) string { return fmt.Sprint(".a = ", i) }
	nested := func(n int) string { return strings.Repeat("(", n) + "{ }" + strings.Repeat(")", n) }
	regex := func(text string) string { return fmt.Sprintf("{ name =~ %q }", text) }
	for _, tt := range []struct{ name, fits, over, says string }{
		{"length", "{ name = `" + strings.Repeat("x", MaxQueryBytes-13) + "` }", "{ name = `" + strings.Repeat("x", 1_000_000) + "` }", "query has 1000013 bytes, at most 131072 are allowed"},
		{"depth outside of braces", nested(MaxDepth - 1), nested(MaxDepth), "nested deeper than 100"},
		{"depth inside of braces", "{ " + strings.Repeat("(", MaxDepth-4) + ".a" + strings.Repeat(")", MaxDepth-4) + " = 1 }", "{ " + strings.Repeat("(", 10_000), "nested deeper than 100"},
		{"negations", "{ " + strings.Repeat("!", MaxDepth-2) + ".a }", "{ " + strings.Repeat("!", 10_000) + ".a }", "nested deeper than 100"},
		{"spansets", times(MaxOperands, " &>> ", same("{ }")), times(MaxOperands+1, " &>> ", same("{ }")), "more than 128 spansets and functions (conditions combined inside of one spanset do not count"},
		{"stages", "{ } | " + times(MaxOperands-1, " | ", same("by(name)")), "{ } | " + times(10_000, " | ", same("by(name)")), "more than 128 spansets"},
		{"aggregates", "{ } | " + times(MaxOperands-2, " + ", same("count()")) + " > 1", "{ } | " + times(MaxOperands-1, " + ", same("count()")) + " > 1", "more than 128 spansets"},
		{"metrics", times(MaxOperands/2, " + ", same("({ } | rate())")), times(MaxOperands/2+1, " + ", same("({ } | rate())")), "more than 128 spansets"},
		{"second stages", "{ } | rate()" + strings.Repeat(" | topk(1)", MaxOperands-2), "{ } | rate()" + strings.Repeat(" | topk(1)", MaxOperands-1), "more than 128 spansets"},
		{"select", "{ } | select(" + times(MaxListed, ",", same(".a")) + ")", "{ } | select(" + times(MaxListed+1, ",", same(".a")) + ")", "select() lists more than 100 attributes"},
		{"by", "{ } | rate() by (" + times(MaxGroupBy, ",", same(".a")) + ")", "{ } | rate() by (" + times(MaxGroupBy+1, ",", same(".a")) + ")", "groups by at most 5 attributes"},
		{"quantiles", "{ } | quantile_over_time(duration, " + times(MaxListed, ",", same(".5")) + ")", "{ } | quantile_over_time(duration, " + times(MaxListed+1, ",", same(".5")) + ")", "more than 100 quantiles"},
		{"one condition", "{ " + times(MaxParts/2-1, " + ", same(".a")) + " > 1 }", "{ " + times(MaxParts/2, " + ", same(".a")) + " > 1 }", "one condition has more than 256 parts"},
		{"conditions in a condition", "{ " + times(5_000, " || ", number) + " }", "{ (" + times(5_000, " || ", number) + ") = true }", "one condition has more than 256 parts"},
		{"grouping expression", "{ } | by(" + times(MaxParts/2, " + ", same(".a")) + ")", "{ } | by(" + times(MaxParts/2+1, " + ", same(".a")) + ")", "one condition has more than 256 parts"},
		{"aggregated expression", "{ } | sum(" + times(MaxParts/2, " + ", same(".a")) + ") > 1", "{ } | sum(" + times(MaxParts/2+1, " + ", same(".a")) + ") > 1", "one condition has more than 256 parts"},
		{"length of a regex", regex(strings.Repeat("x", MaxRegexBytes)), regex(strings.Repeat("x", MaxRegexBytes+1)), "regular expression has 4097 bytes, at most 4096 are allowed"},
		{"size of a regex", regex("(ab){1000}"), regex("(abcde){1000}"), "too complex: 7002 instructions, at most 5000 are allowed"},
		{"repeats of repeats", regex("(a{30}){30}"), regex("(a{1000}){1000}"), "invalid repeat count"},
		{"regexes together", "{ " + times(24, " || ", same(`name =~ "(a{1000}){1}b{900}"`)) + " }", "{ " + times(30, " || ", same(`name =~ "(a{1000}){1}b{900}"`)) + " }", "too complex together: more than 50000 instructions"},
	} {
		if _, err := Parse(tt.fits); err != nil {
			t.Errorf("%s: at the limit: %v", tt.name, err)
		}
		_, err := Parse(tt.over)
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: over the limit: %v, want %q", tt.name, err, tt.says)
		}
		if err != nil && len(err.(*Error).Caret()) > 1000 {
			t.Errorf("%s: the error has %d bytes", tt.name, len(err.(*Error).Caret()))
		}
	}
}
