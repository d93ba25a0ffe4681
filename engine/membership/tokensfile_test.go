package membership

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTokensFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tokens.json")
	if got, err := loadTokens(path); got != nil || err != nil {
		t.Fatalf("missing file: %v, %v", got, err)
	}
	dice := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		want := make([]uint32, dice.IntN(600))
		for i := range want {
			want[i] = dice.Uint32()
		}
		if err := saveTokens(path, want); err != nil {
			t.Fatal(err)
		}
		slices.Sort(want)
		got, err := loadTokens(path)
		if err != nil || !slices.Equal(got, slices.Compact(want)) {
			t.Fatalf("read back %v, %v; want %v", got, err, want)
		}
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 1 {
		t.Errorf("temporary files stay behind: %v", names)
	}
}

func TestTokensFileRefusals(t *testing.T) {
	for name, content := range map[string]string{
		"no JSON":       "tokens",
		"not a number":  `{"tokens":["1"]}`,
		"too big":       `{"tokens":[4294967296]}`,
		"too many":      `{"tokens":[` + strings.Repeat("1,", MaxTokens) + `1]}`,
		"file too long": `{"tokens":[1]}` + strings.Repeat(" ", maxTokensFile),
	} {
		path := filepath.Join(t.TempDir(), "tokens.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if tokens, err := loadTokens(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %d tokens, error %v", name, len(tokens), err)
		}
	}
	if err := saveTokens(filepath.Join(t.TempDir(), "no", "such", "dir"), nil); err == nil {
		t.Error("saving into a missing folder succeeds")
	}
}

func FuzzParseTokens(f *testing.F) {
	f.Add([]byte(`{"tokens":[3,1,2,2]}`))
	f.Add([]byte(`{"tokens":null}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		tokens, err := parseTokens(b)
		if err == nil && (!slices.IsSorted(tokens) || len(slices.Compact(slices.Clone(tokens))) != len(tokens)) {
			t.Errorf("not sorted and distinct: %v", tokens)
		}
	})
}
