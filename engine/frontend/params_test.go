package frontend

import (
	"net/url"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/traceql"
)

func read(query string) *values {
	q, err := url.ParseQuery(query)
	return &values{Values: q, err: err}
}

func TestOldSearchParametersMeanTraceQL(t *testing.T) {
	for _, tt := range []struct{ query, want string }{
		{`q={ name = "x" }`, `{ name = "x" }`},
		{``, `{  }`},
		{`tags=service.name=cart`, `{ ."service.name" = "cart" }`},
		{`tags=http.status_code=500 error=true`, `{ (."http.status_code" = "500" || ."http.status_code" = 500) && (."error" = "true" || ."error" = true) }`},
		{`tags=name="GET /" `, `{ name = "GET /" }`},
		{`minDuration=100ms&maxDuration=1s`, `{ traceDuration >= 100000000ns && traceDuration <= 1000000000ns }`},
	} {
		v := read(tt.query)
		if got := v.searchQuery(); got != tt.want || v.err != nil {
			t.Errorf("%s: %q, %v; want %q", tt.query, got, v.err, tt.want)
		}
		if _, err := traceql.Parse(v.searchQuery()); err != nil {
			t.Errorf("%s is no TraceQL: %v", v.searchQuery(), err)
		}
	}
}

func TestWrongParametersAreNamed(t *testing.T) {
	for _, query := range []string{
		"q={}&tags=a=b", "tags=novalue", `tags=a="open`, "minDuration=soon",
		"start=1", "start=2&end=1", "start=x&end=y", "limit=0", "limit=ten", "spss=1000", "step=-1", "step=1e-12", "since=eternity", "end=tomorrow",
		"end=9999-12-31T00:00:00Z", "end=9300000000", "end=9999999999999999999", "limit=1000000000000000000000",
	} {
		v := read(query)
		v.searchQuery()
		if v.Get("since") == "" && v.Get("end") != "tomorrow" {
			v.seconds()
		} else {
			v.metricsWindow(time.Unix(1e9, 0))
		}
		v.count("limit", 20, 1, 100)
		v.count("spss", 3, 0, 100)
		v.step()
		if v.err == nil {
			t.Errorf("%s: no error", query)
		}
	}
}

func TestInstants(t *testing.T) {
	for text, want := range map[string]int64{
		"1700000000": 1_700_000_000e9, "1700000000.5": 1_700_000_000.5e9, "1700000000123456789": 1_700_000_000_123_456_789, "2023-11-14T22:13:20Z": 1_700_000_000e9,
	} {
		if got, err := parseInstant(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
}
