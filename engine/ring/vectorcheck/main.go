// Command vectorcheck runs golden vector files against this repository's code.
//
//	go run ./engine/ring/vectorcheck DIR
//
// DIR holds files named *.json or *.json.gz, each an object with "category" and
// "cases". For every failed case one line names the file's category, the case
// and the reason; then every category gets a line "N passed, M failed", and the
// total follows. Exit status: 0 all passed, 1 something failed, 2 usage.
package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// checker judges one case. nil means it passed, an error says why not.
type checker func(c json.RawMessage) error

// categories is the table of everything that can be checked; one line each.
func categories() map[string]checker {
	return map[string]checker{
		"codec_ring":               checkCodecRing,
		"codec_partition_ring":     checkCodecPartitionRing,
		"merge_ring":               checkMergeRing,
		"merge_partition_ring":     checkMergePartitionRing,
		"remove_tombstones":        checkRemoveTombstones,
		"operations":               checkOperation,
		"health":                   checkHealth,
		"lookup_ring":              checkLookupRing,
		"lookup_partition_ring":    checkLookupPartitionRing,
		"spread_minimizing_tokens": checkSpreadTokens,
		"spread_minimizing_names":  checkSpreadNames,
		"shuffle_shard_seeds":      checkShuffleSeeds,
		"partition_state_edits":    checkPartitionEdit,

		"kv_pair":                   checkKVPair,
		"push_pull_state":           checkPushPullState,
		"kv_scenarios":              checkKVScenario,
		"node_meta":                 checkNodeMeta,
		"transport_frames":          checkTransportFrame,
		"wire_captures":             checkWireCapture,
		"codec_propagation_tracker": checkBeacons,
		"merge_propagation_tracker": checkMergeBeacons,

		"http_json": checkHTTPJSON,
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: vectorcheck DIR")
		os.Exit(2)
	}
	ok, err := run(os.Args[1], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "vectorcheck:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}

// run checks every file of dir and writes the report.
func run(dir string, w io.Writer) (ok bool, err error) {
	files, err := vectorFiles(dir)
	if err != nil {
		return false, err
	}
	if len(files) == 0 {
		return false, fmt.Errorf("no *.json or *.json.gz files in %s", dir)
	}
	passed, failed := 0, 0
	for _, f := range files {
		p, m := checkFile(f, w)
		passed, failed = passed+p, failed+m
	}
	fmt.Fprintf(w, "total: %d passed, %d failed\n", passed, failed)
	return failed == 0, nil
}

func vectorFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read vectors: %w", err)
	}
	var files []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") || strings.HasSuffix(e.Name(), ".json.gz") {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(files)
	return files, nil
}

type vectorFile struct {
	Category string            `json:"category"`
	Cases    []json.RawMessage `json:"cases"`
}

func checkFile(name string, w io.Writer) (passed, failed int) {
	f, err := readVectors(name)
	if err != nil {
		fmt.Fprintf(w, "FAIL %s: %v\n", filepath.Base(name), err)
		return 0, 1
	}
	check, known := categories()[f.Category]
	if !known {
		fmt.Fprintf(w, "FAIL %s: unknown category %q\n", filepath.Base(name), f.Category)
		failed = max(1, len(f.Cases))
		fmt.Fprintf(w, "%s: 0 passed, %d failed\n", f.Category, failed)
		return 0, failed
	}
	for n, c := range f.Cases {
		if err := checkCase(check, c); err != nil {
			failed++
			fmt.Fprintf(w, "FAIL %s %s: %v\n", f.Category, caseID(c, n), err)
		} else {
			passed++
		}
	}
	fmt.Fprintf(w, "%s: %d passed, %d failed\n", f.Category, passed, failed)
	return passed, failed
}

// checkCase turns a panic of the code under test into a failed case, so that
// the others still run.
func checkCase(check checker, c json.RawMessage) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return check(c)
}

func caseID(c json.RawMessage, n int) string {
	var id struct{ ID string }
	if err := json.Unmarshal(c, &id); err != nil || id.ID == "" {
		return fmt.Sprintf("#%d", n)
	}
	return id.ID
}

func readVectors(name string) (*vectorFile, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	var r io.Reader = file
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(file); err != nil {
			return nil, err
		}
	}
	var f vectorFile
	if err := json.NewDecoder(r).Decode(&f); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	return &f, nil
}
