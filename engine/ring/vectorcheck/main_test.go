package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGoldenVectors(t *testing.T) {
	files, err := vectorFiles("testdata")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			f, err := readVectors(name)
			if err != nil {
				t.Fatal(err)
			}
			seen[f.Category] = true
			check, ok := categories()[f.Category]
			if !ok || len(f.Cases) == 0 {
				t.Fatalf("category %q with %d cases, known: %v", f.Category, len(f.Cases), ok)
			}
			for n, c := range f.Cases {
				if err := check(c); err != nil {
					t.Errorf("%s: %v", caseID(c, n), err)
				}
			}
		})
	}
	for category := range categories() {
		if !seen[category] {
			t.Errorf("no vectors for category %s in testdata", category)
		}
	}
}

// A checker that accepts everything would be worthless: each of these cases is
// wrong in one place and must fail.
func TestWrongVectorsFail(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"1.json": `{"category":"health","cases":[{"id":"h1","op":"write","state":"ACTIVE","timestamp":100,"now_unix_ms":100000,"heartbeat_timeout_ms":60000,"healthy":false},
			{"id":"h2","op":"write","state":"ACTIVE","timestamp":100,"now_unix_ms":100000,"heartbeat_timeout_ms":60000,"healthy":true}]}`,
		"2.json": `{"category":"no_such_thing","cases":[{"id":"x"}]}`,
		"3.json": `{"category":"codec_ring","cases":[{"id":"c1","kind":"decode_only","proto_b64":"CgQKAmkx","content":{"instances":{}}}]}`,
		"4.json": `not JSON`,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	ok, err := run(dir, &out)
	if err != nil || ok {
		t.Fatalf("run: %v, %v; want a failure", ok, err)
	}
	for _, want := range []string{
		"FAIL health h1: healthy is true, want false\n",
		"health: 1 passed, 1 failed\n",
		"FAIL 2.json: unknown category \"no_such_thing\"\n",
		"no_such_thing: 0 passed, 1 failed\n",
		"FAIL codec_ring c1: protobuf: instances",
		"FAIL 4.json: read JSON: ",
		"total: 1 passed, 4 failed\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("report lacks %q:\n%s", want, &out)
		}
	}
}

func TestEmptyFolderIsAnError(t *testing.T) {
	if _, err := run(t.TempDir(), &strings.Builder{}); err == nil {
		t.Error("no vectors, no error")
	}
}
