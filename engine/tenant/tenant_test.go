package tenant_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/ringctl/ringctl/engine/tenant"
)

var rewrite = flag.Bool("rewrite", false, "write what the stories print into testdata")

func TestValid(t *testing.T) {
	for _, id := range []string{"a", tenant.Default, "Team_1!-.*'()", "...", strings.Repeat("x", 150)} {
		if err := tenant.Valid(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, id := range []string{".", "..", "a/b", "a|b", "a b", "ä", "a\x00", strings.Repeat("x", 151)} {
		if err := tenant.Valid(id); !errors.Is(err, tenant.ErrInvalid) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if err := tenant.Valid(""); !errors.Is(err, tenant.ErrMissing) || err.Error() != "no org id" {
		t.Errorf("empty: %v", err)
	}
}

func TestSplit(t *testing.T) {
	ids, err := tenant.Split("b|a|b")
	if err != nil || strings.Join(ids, "|") != "a|b" {
		t.Fatal(ids, err)
	}
	for _, list := range []string{"", "|", "a|", "|a", "a||b", "a|..", strings.Repeat("a|", 200) + "a"} {
		if ids, err := tenant.Split(list); err == nil {
			t.Errorf("%.10q: %q", list, ids)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("a|b")
	f.Add("..|x")
	f.Fuzz(func(t *testing.T, list string) {
		ids, err := tenant.Split(list)
		if err != nil {
			return
		}
		again, err := tenant.Split(strings.Join(ids, "|"))
		if err != nil || strings.Join(again, "|") != strings.Join(ids, "|") {
			t.Fatalf("%q, then %q, %v", ids, again, err)
		}
		for _, id := range ids {
			if strings.ContainsAny(id, "/\\|") || id == "." || id == ".." || len(id) > tenant.MaxLength {
				t.Fatalf("%q", id)
			}
		}
	})
}

func TestDefaultsAreValid(t *testing.T) {
	l := tenant.DefaultLimits()
	if err := l.Validate(); err != nil {
		t.Fatal(err)
	}
	// Printed and read back they are the same.
	text, err := yaml.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	var back tenant.Limits
	if err := yaml.Unmarshal(text, &back); err != nil || back != l {
		t.Fatalf("%v\n%+v", err, back)
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "14d": 14 * 24 * time.Hour, "1w2d3h": (9*24 + 3) * time.Hour, "336h": 336 * time.Hour,
	} {
		var d tenant.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Std() != want {
			t.Errorf("%s: %v, %v", text, d, err)
		}
		var back tenant.Duration
		if err := back.UnmarshalText([]byte(d.String())); err != nil || back != d {
			t.Errorf("%s printed as %s: %v", text, d, err)
		}
	}
	for _, text := range []string{"", "d", "1", "-1d", "1d1w", "1d-5h", "x", "99999w", "200000000h"} {
		var d tenant.Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, d)
		}
	}
}

// The story shows runtime files and what each tenant gets.
func TestOverridesStory(t *testing.T) {
	const file = "testdata/overrides.txt"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, step := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		input, _, _ := strings.Cut(step, "\n----")
		got := input + "\n----\n" + strings.TrimRight(tell(input), "\n")
		if got != step && !*rewrite {
			t.Errorf("prints\n%s\nwant\n%s", got, step)
		}
		out = append(out, got)
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(strings.Join(out, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// tell prints what differs from the defaults, for each tenant.
func tell(file string) string {
	o, err := tenant.ParseOverrides([]byte(file), tenant.DefaultLimits())
	if err != nil {
		return err.Error()
	}
	s := "others: " + diff(o.For("somebody else")) + "\n"
	for _, id := range o.Tenants() {
		s += id + ": " + diff(o.For(id)) + "\n"
	}
	return s
}

func diff(l tenant.Limits) string {
	base := strings.Split(flat(tenant.DefaultLimits()), "\n")
	var changed []string
	for i, line := range strings.Split(flat(l), "\n") {
		if line != base[i] {
			changed = append(changed, strings.TrimSpace(line))
		}
	}
	if changed == nil {
		return "defaults"
	}
	return strings.Join(changed, ", ")
}

func flat(l tenant.Limits) string {
	text, err := yaml.Marshal(l)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(text)
}

func FuzzParseOverrides(f *testing.F) {
	f.Add([]byte("overrides:\n  a:\n    ingestion: {rate_limit_bytes: 5}\n  \"*\": {read: {max_search_duration: 3d}}\n"))
	f.Add([]byte("overrides: {a: &x {}, b: *x}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<12 {
			return
		}
		o, err := tenant.ParseOverrides(data, tenant.DefaultLimits())
		if err != nil {
			return
		}
		for _, id := range append(o.Tenants(), "somebody else") {
			l := o.For(id)
			if err := l.Validate(); err != nil {
				t.Fatalf("%q: %v", id, err)
			}
		}
	})
}
