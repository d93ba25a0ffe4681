package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/ringctl/ringctl/"

// layers says which packages of ours each package may import. Words know
// nothing; carriers and shelves know words; workers know all three but not
// each other; only engine knows workers. A new edge is added here with its
// reason.
var layers = map[string]string{
	// words
	"engine/trace":           "",
	"engine/tenant":          "",
	"engine/ring":            "",
	"engine/partition":       "engine/ring",
	"engine/traceql":         "engine/trace",
	"engine/columnar":        "engine/trace",
	"engine/query":           "engine/trace engine/traceql engine/columnar",
	"engine/query/querytest": "engine/query engine/columnar engine/trace engine/traceql", // the slow twin
	"engine/ring/ringtest":   "engine/ring",                                              // stories and generated rings
	"engine/ringapi":         "engine/ring engine/partition",
	// carriers
	"engine/gossip":      "engine/gossip/wire",
	"engine/gossip/wire": "",                             // messages as bytes, so that observers need no memberlist
	"engine/kv":          "engine/ring engine/partition", // typed views of the two codecs
	"engine/kv/memkv":    "engine/kv",
	"engine/kv/gossipkv": "engine/kv engine/gossip engine/ring engine/partition",
	"engine/kv/consulkv": "engine/kv",
	"engine/kv/etcdkv":   "engine/kv",
	"engine/kv/kvtest":   "engine/kv engine/ring engine/partition",
	"engine/membership":  "engine/ring engine/partition engine/kv engine/ringapi", // errors and audit records of the control API
	"engine/peer":        "engine/trace engine/tenant engine/columnar engine/query engine/traceql engine/peer/peerpb",
	"engine/peer/peerpb": "",
	// shelves
	"engine/folderlock":          "", // one process per folder
	"engine/wal":                 "engine/folderlock",
	"engine/wal/waltest":         "engine/wal", // a disk that breaks on purpose
	"engine/bucket":              "",
	"engine/bucket/local":        "engine/bucket",
	"engine/bucket/s3":           "engine/bucket",
	"engine/bucket/buckettest":   "engine/bucket",
	"engine/block":               "engine/trace engine/tenant engine/columnar engine/bucket engine/block/pq",
	"engine/block/pq":            "", // Parquet pages and footers, no spans
	"engine/recent":              "engine/trace engine/tenant engine/columnar engine/wal engine/block engine/block/pq engine/bucket engine/bucket/local",
	"engine/catalog":             "engine/tenant engine/bucket engine/block",
	"engine/catalog/catalogtest": "engine/tenant engine/bucket engine/bucket/local engine/block engine/catalog engine/recent engine/trace engine/query", // buckets that fail on purpose
	"engine/compactor":           "engine/tenant engine/bucket engine/bucket/local engine/block engine/catalog",
	// workers
	"engine/receiver":      words,
	"engine/distributor":   words + " engine/membership engine/peer",
	"engine/ingester":      words + carriers + shelves,
	"engine/livestore":     words + carriers + shelves,
	"engine/querier":       words + carriers + shelves,
	"engine/frontend":      words + carriers + " engine/catalog engine/block",
	"engine/backendworker": words + carriers + shelves,
	"engine/control":       words + carriers,
	// whole
	"engine":                  "*",
	"engine/enginetest":       "*",
	"engine/ring/vectorcheck": "*",
	"cmd/tempod":              "engine",
	"bench/gen":               "",
	"bench/e2e":               "bench/gen engine/block/pq",                                     // what the columns of a block weigh
	"bench/stop":              "engine/columnar engine/query engine/block engine/bucket/local", // how often a question looks up
	"docs":                    "",                                                              // a test only
	// asking
	"client/model":         "engine/ring engine/partition engine/gossip", // words: what a view means; client keeps the same names as aliases
	"client":               "client/model engine/ring engine/partition engine/ringapi engine/gossip",
	"client/clienttest":    "client engine/ring engine/partition engine/ringapi engine/gossip engine/kv engine/kv/gossipkv engine/membership engine/control",
	"client/doctor":        "client engine/ring engine/partition engine/gossip",
	"client/history":       "client engine/ring engine/partition engine/gossip",
	"tui":                  "client client/doctor client/history tui/scene tui/screen tui/widget" + words,
	"tui/scene":            "client client/doctor tui/widget" + words,           // what is shown
	"tui/screen":           "client client/doctor tui/scene tui/widget" + words, // how it is shown
	"tui/widget":           words,
	"tui/terminal":         "", // a real terminal, for tests
	"tui/pictures":         "tui/terminal",
	"cmd/ringctl":          "*",
	"cmd/ringctl/settings": "client",
	"cmd/ringctl/document": "client cmd/ringctl/render", // answers as tables and data
	"cmd/ringctl/monitor":  "client cmd/ringctl/document cmd/ringctl/render",
	"cmd/ringctl/command":  "client client/doctor client/history cmd/ringctl/render cmd/ringctl/settings cmd/ringctl/document cmd/ringctl/monitor engine/ring engine/partition engine/ringapi engine/gossip engine/trace",
	"cmd/ringctl/render":   "client engine/ring engine/partition engine/ringapi",
	"cmd/ringctl/demo":     "engine/folderlock client tui engine/trace engine/ring engine/partition engine/ringapi engine/gossip",
}

const (
	words    = " engine/trace engine/tenant engine/ring engine/partition engine/traceql engine/columnar engine/query engine/ringapi"
	carriers = " engine/kv engine/gossip engine/membership engine/peer engine/peer/peerpb"
	shelves  = " engine/wal engine/bucket engine/block engine/recent engine/catalog engine/compactor"
)

type goPackage struct {
	ImportPath string
	Imports    []string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestLayers(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		seen[name] = true
		allowed, ok := layers[name]
		if !ok {
			t.Errorf("%s is not in the table: say what kind of package it is and what it may import", name)
			continue
		}
		if allowed == "*" {
			continue
		}
		for _, imp := range p.Imports {
			if other, ours := strings.CutPrefix(imp, module); ours && !slices.Contains(strings.Fields(allowed), other) {
				t.Errorf("%s imports %s, which the table does not allow", name, other)
			}
		}
	}
	for name := range layers {
		if !seen[name] {
			t.Errorf("the table names %s, which does not exist", name)
		}
	}
}
