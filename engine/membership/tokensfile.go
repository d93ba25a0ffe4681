package membership

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// tokensFileJSON is the form of the file, the one the dskit family uses: {"tokens":[1,2,3]}.
type tokensFileJSON struct {
	Tokens []uint32 `json:"tokens"`
}

// maxTokensFile bounds what is read: MaxTokens numbers of ten digits and a comma.
const maxTokensFile = 12 * MaxTokens

// parseTokens reads the content of a tokens file: sorted, without duplicates.
func parseTokens(b []byte) ([]uint32, error) {
	var f tokensFileJSON
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	if len(f.Tokens) > MaxTokens {
		return nil, fmt.Errorf("%d tokens, at most %d are possible", len(f.Tokens), MaxTokens)
	}
	slices.Sort(f.Tokens)
	return slices.Compact(f.Tokens), nil
}

// loadTokens reads a tokens file. A missing file is no error: there are no tokens yet.
func loadTokens(path string) ([]uint32, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load tokens: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, maxTokensFile+1))
	if err != nil {
		return nil, fmt.Errorf("load tokens from %s: %w", path, err)
	}
	if len(b) > maxTokensFile {
		return nil, fmt.Errorf("load tokens from %s: larger than %d bytes", path, maxTokensFile)
	}
	tokens, err := parseTokens(b)
	if err != nil {
		return nil, fmt.Errorf("load tokens from %s: %w (remove the file to take new tokens)", path, err)
	}
	return tokens, nil
}

// saveTokens writes a tokens file so that a crash leaves either the old or the new one.
func saveTokens(path string, tokens []uint32) error {
	b, err := json.Marshal(tokensFileJSON{Tokens: tokens})
	if err != nil {
		return fmt.Errorf("save tokens: %w", err)
	}
	if err := writeFileAtomic(path, b); err != nil {
		return fmt.Errorf("save tokens to %s: %w", path, err)
	}
	return nil
}

// writeFileAtomic writes under a temporary name, syncs, renames, and syncs the folder.
func writeFileAtomic(path string, b []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".tmp-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, werr := f.Write(b)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
