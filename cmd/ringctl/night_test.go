package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ringctl/ringctl/client/clienttest"
	"github.com/ringctl/ringctl/engine/ring"
)

// A story may keep a transcript, as somebody at a terminal would see it, and compare it with a document:
//
//	scene NAME              the lines that follow belong to the block behind <!-- scene NAME --> in the document
//	types CODE ringctl...   run it, expect an exit code, and note what it prints
//	later DURATION RING...  move the clock, with the heartbeats of those in the rings that are alive
//	transcript FILE         compare all blocks with those in the document; UPDATE=1 rewrites them
//
// The night in a transcript always begins at the same moment, and members have the addresses of another network.
var nightBegins = time.Date(2026, 3, 14, 3, 12, 0, 0, time.UTC)

// transcript is the blocks of one story by scene.
type transcript struct {
	began  time.Time
	scene  string
	blocks map[string]string
	hashes []string // of ring versions, in the order in which they were seen
}

type transcriptKey struct{}

func transcriptOf(ts *testscript.TestScript) *transcript {
	return ts.Value(transcriptKey{}).(*transcript)
}

func cmdScene(ts *testscript.TestScript, _ bool, args []string) {
	transcriptOf(ts).scene = args[0]
}

func cmdTypes(ts *testscript.TestScript, _ bool, args []string) {
	tr := transcriptOf(ts)
	var line []string
	for _, a := range args[1:] {
		if strings.ContainsAny(a, " *'") {
			a = `"` + a + `"`
		}
		line = append(line, a)
	}
	// One stream, because that is what a terminal shows.
	got := "0"
	if err := ts.Exec("sh", append([]string{"-c", `exec "$0" "$@" 2>&1`}, args[1:]...)...); err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	out := ts.ReadFile("stdout")
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s:\n%s", got, args[0], out)
	}
	text := "$ " + strings.Join(line, " ") + "\n" + out
	if got != "0" {
		text += "$ echo $?\n" + got + "\n"
	}
	text = ringHash.ReplaceAllStringFunc(text, tr.sameHash)
	tr.blocks[tr.scene] += asAtNight(storyOf(ts).cluster, nightBegins.Sub(tr.began), text)
}

var (
	instant = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\dZ`)
	// ringHash is what ringctl views shows of a ring's version.
	ringHash = regexp.MustCompile(`\b[0-9a-f]{12}\b`)
	address  = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	// progress is what is said between the first answer and the last: how many lines depends on who is quick.
	progress = regexp.MustCompile(`(?m)(^\d+ of \d+ members agree\n)+(\d+ of \d+ members agree\n)`)
)

// sameHash gives a hash of a ring's version, which depends on the time, one that is the same in each run.
func (tr *transcript) sameHash(hash string) string {
	i := slices.Index(tr.hashes, hash)
	if i < 0 {
		i, tr.hashes = len(tr.hashes), append(tr.hashes, hash)
	}
	sum := sha256.Sum256([]byte{byte(i)})
	return hex.EncodeToString(sum[:6])
}

// asAtNight moves times into the night and addresses into another network.
func asAtNight(c *clienttest.Cluster, shift time.Duration, text string) string {
	text = progress.ReplaceAllString(text, "$2")
	text = instant.ReplaceAllStringFunc(text, func(at string) string {
		for _, layout := range []string{"2006-01-02T15:04:05Z", "2006-01-02 15:04:05Z"} {
			if t, err := time.Parse(layout, at); err == nil {
				return t.Add(shift).Format(layout)
			}
		}
		return at
	})
	return address.ReplaceAllStringFunc(text, func(addr string) string {
		for i, name := range c.Names() {
			if c.Addr(name) == addr {
				return fmt.Sprintf("10.0.0.%d:7946", i+1)
			}
		}
		return addr
	})
}

var block = regexp.MustCompile("(?s)<!-- scene ([a-z-]+) -->\n```console\n(.*?)```")

func cmdTranscript(ts *testscript.TestScript, _ bool, args []string) {
	tr := transcriptOf(ts)
	file := filepath.Join(repository, filepath.FromSlash(args[0]))
	raw, err := os.ReadFile(file)
	ts.Check(err)
	seen := map[string]bool{}
	updated := block.ReplaceAllStringFunc(string(raw), func(old string) string {
		m := block.FindStringSubmatch(old)
		seen[m[1]] = true
		if tr.blocks[m[1]] != m[2] && os.Getenv("UPDATE") == "" {
			ts.Fatalf("%s, scene %s, is not what happens (UPDATE=1 rewrites it):\n%s", args[0], m[1], tr.blocks[m[1]])
		}
		return "<!-- scene " + m[1] + " -->\n```console\n" + tr.blocks[m[1]] + "```"
	})
	for name := range tr.blocks {
		if !seen[name] {
			ts.Fatalf("%s has no scene %s", args[0], name)
		}
	}
	if len(seen) != len(tr.blocks) {
		ts.Fatalf("%s has %d scenes, the story %d", args[0], len(seen), len(tr.blocks))
	}
	if os.Getenv("UPDATE") != "" {
		ts.Check(os.WriteFile(file, []byte(updated), 0o644))
	}
}

// cmdLater moves the clock of the story. Whoever was heard of just now is heard of then, too.
func cmdLater(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	d, err := time.ParseDuration(args[0])
	ts.Check(err)
	old := s.now.Unix()
	s.now = s.now.Add(d)
	ts.Setenv("NOW", strconv.FormatInt(s.now.Unix(), 10))
	for _, key := range args[1:] {
		for _, node := range s.cluster.Names() {
			d := s.cluster.Ring(node, key)
			for id, i := range d.Instances {
				if i.Timestamp == old && i.State != ring.Left {
					i.Timestamp = s.now.Unix()
					d.Instances[id] = i
				}
			}
			ts.Check(s.cluster.Put(key, d, node))
		}
	}
}
