package gossip

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the results of text stories into their files")

// TestStoreStories runs testdata/store*.txt: each line that begins with "> " is a command, what follows is its result.
//
//	> at SECONDS                 set the clock
//	> recv KEY [flags] ENTRY..   a pair arrives; flags: codec=NAME deleted=SECONDS raw=BYTES; entry: id@time=text or id@time!
//	> put KEY ENTRY..            compare-and-swap that adds entries
//	> forget KEY ID              compare-and-swap that leaves an entry out
//	> delete KEY                 mark the key as deleted
//	> expire                     drop keys deleted long ago
//	> state                      everything, tombstones included
//	> read KEY                   what a reader sees
func TestStoreStories(t *testing.T) {
	files, err := filepath.Glob("testdata/store*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) { runStory(t, f) })
	}
}

func runStory(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &story{store: NewStore([]Codec{toyCodec{"toy"}, toyCodec{"other"}},
		StoreOptions{LeftTimeout: 300 * time.Second, ObsoleteTimeout: 30 * time.Second, Guard: RefuseAhead(time.Hour)})}
	var out strings.Builder
	in := bufio.NewScanner(strings.NewReader(string(text)))
	for in.Scan() {
		line := in.Text()
		command, isCommand := strings.CutPrefix(line, "> ")
		if isCommand {
			fmt.Fprintf(&out, "%s\n%s", line, s.run(t, strings.Fields(command)))
		} else if line == "" || strings.HasPrefix(line, "#") {
			fmt.Fprintln(&out, line)
		}
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if out.String() != string(text) {
		t.Errorf("%s: got\n%s\n(run with -rewrite to accept)", file, out.String())
	}
}

type story struct {
	store *Store
	now   time.Time
}

func (s *story) run(t *testing.T, words []string) string {
	args := words[1:]
	switch words[0] {
	case "at":
		n, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		s.now = time.Unix(n, 0)
		return ""
	case "recv":
		return s.recv(t, args)
	case "put":
		return s.cas(args[0], func(v toy) {
			for id, e := range parseToy(t, args[1:]) {
				v[id] = e
			}
		})
	case "forget":
		return s.cas(args[0], func(v toy) { delete(v, args[1]) })
	case "delete":
		return report(s.store.Delete(args[0], s.now))
	case "expire":
		return fmt.Sprintf("dropped %q\n", s.store.Expire(s.now))
	case "state":
		return s.state()
	case "read":
		v, version := s.store.Get(args[0])
		return fmt.Sprintf("version %d: %v\n", version, v)
	}
	t.Fatalf("unknown command %q", words[0])
	return ""
}

func (s *story) recv(t *testing.T, args []string) string {
	p := Pair{Key: args[0], Codec: "toy"}
	if p.Key == `""` {
		p.Key = ""
	}
	args = args[1:]
	for len(args) > 0 {
		name, value, ok := strings.Cut(args[0], "=")
		if !ok || strings.Contains(name, "@") {
			break
		}
		switch name {
		case "codec":
			p.Codec = value
		case "raw":
			p.Value = []byte(value)
		case "deleted":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			p.Deleted, p.UpdateTimeMillis = true, n*1000
		}
		args = args[1:]
	}
	if len(args) > 0 {
		p.Value = parseToy(t, args).Encode()
	}
	u, err := s.store.Decode(p)
	if err != nil {
		return report(nil, err)
	}
	change, refused, err := s.store.Apply(u, s.now)
	if len(refused) > 0 {
		return fmt.Sprintf("refused %q\n%s", refused, report(change, err))
	}
	return report(change, err)
}

func (s *story) cas(key string, f func(toy)) string {
	in, version := s.store.Get(key)
	v, _ := in.(toy)
	if v == nil {
		v = toy{}
	}
	f(v)
	return report(s.store.CAS(key, "toy", version, v, s.now))
}

func report(c *Change, err error) string {
	if err != nil {
		return fmt.Sprintf("error: %v\n", err)
	}
	if c == nil {
		return "nothing new\n"
	}
	deleted := ""
	if c.Deleted {
		deleted = fmt.Sprintf(" deleted@%d", c.UpdateTimeMillis/1000)
	}
	return fmt.Sprintf("tell %s v%d: %v%s\n", c.Key, c.Version, c.Value, deleted)
}

func (s *story) state() string {
	var b strings.Builder
	for _, i := range s.store.Info() {
		deleted := ""
		if i.Deleted {
			deleted = fmt.Sprintf(" deleted@%d", i.UpdateTime.Unix())
		}
		fmt.Fprintf(&b, "%s v%d, %d entries, %d tombstones: %v%s\n", i.Key, i.Version, i.Entries, i.Tombstones, s.store.entries[i.Key].value, deleted)
	}
	if b.Len() == 0 {
		return "empty\n"
	}
	return b.String()
}

func parseToy(t *testing.T, words []string) toy {
	t.Helper()
	v := toy{}
	for _, w := range words {
		if w == "nothing" {
			continue
		}
		id, rest, ok := strings.Cut(w, "@")
		left := strings.HasSuffix(rest, "!")
		at, text, _ := strings.Cut(strings.TrimSuffix(rest, "!"), "=")
		n, err := strconv.ParseInt(at, 10, 64)
		if !ok || err != nil {
			t.Fatalf("entry %q: %v", w, err)
		}
		v[id] = toyEntry{At: n, Text: text, Left: left}
	}
	return v
}

// Two stores that hear the same pairs in any order, each any number of times, agree, as long as no two different
// entries carry the same time.
func TestOrderDoesNotMatter(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 7))
		var pairs []Pair
		for i := range 30 {
			v := toy{fmt.Sprint(rng.IntN(6)): {At: int64(1000 + i), Text: fmt.Sprint(i), Left: rng.IntN(3) == 0}}
			pairs = append(pairs, Pair{Key: fmt.Sprint(rng.IntN(2)), Codec: "toy", Value: v.Encode()})
		}
		first := applyAll(t, pairs)
		again := slices.Concat(pairs, pairs)
		rng.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		if second := applyAll(t, again); first != second {
			t.Fatalf("seed %d:\n%s\n%s", seed, first, second)
		}
	}
}

func applyAll(t *testing.T, pairs []Pair) string {
	t.Helper()
	s := NewStore([]Codec{toyCodec{"toy"}}, StoreOptions{LeftTimeout: time.Hour})
	for _, p := range pairs {
		u, err := s.Decode(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Apply(u, time.Unix(1100, 0)); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	for _, p := range s.Pairs() {
		fmt.Fprintf(&b, "%s: %v\n", p.Key, s.entries[p.Key].value)
	}
	return b.String()
}

// A compare-and-swap made from an old reading is refused, so nobody's update is lost.
// TestTombstonesGoOnTime: whatever came before, a change leaves no tombstone that is too old.
func TestTombstonesGoOnTime(t *testing.T) {
	const stay = 100
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 4))
		s := NewStore([]Codec{toyCodec{"toy"}}, StoreOptions{LeftTimeout: stay * time.Second})
		removed := 0
		for now := int64(1000); now < 3000; now += rng.Int64N(60) {
			in := toy{fmt.Sprint(rng.IntN(4)): {At: now - rng.Int64N(2*stay), Left: rng.IntN(3) == 0}}
			change, _, err := s.Apply(Update{Pair: Pair{Key: "k"}, codec: toyCodec{"toy"}, value: in}, time.Unix(now, 0))
			if err != nil {
				t.Fatal(err)
			}
			if change == nil {
				continue
			}
			removed += change.Removed
			for id, e := range s.entries["k"].value.(toy) {
				if e.Left && e.At < now-stay {
					t.Fatalf("seed %d, second %d: %s is a tombstone of second %d", seed, now, id, e.At)
				}
			}
		}
		if removed == 0 {
			t.Errorf("seed %d: no tombstone went", seed)
		}
	}
}

func TestCASNoticesOtherWriters(t *testing.T) {
	s := NewStore([]Codec{toyCodec{"toy"}}, StoreOptions{})
	now := time.Unix(1000, 0)
	if _, err := s.CAS("k", "toy", 0, toy{"a": {At: 1000}}, now); err != nil {
		t.Fatal(err)
	}
	mine, version := s.Get("k")
	if _, err := s.CAS("k", "toy", version, toy{"a": {At: 1000}, "b": {At: 1000}}, now); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CAS("k", "toy", version, mine, now); !errors.Is(err, ErrVersion) {
		t.Errorf("an update from an old reading: %v", err)
	}
}

func TestConfig(t *testing.T) {
	cfg := DefaultConfig()
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "cluster_label") {
		t.Errorf("without a label: %v", err)
	}
	cfg.AllowUnlabelled = true
	if err := cfg.Validate(); err != nil {
		t.Errorf("unlabelled on purpose: %v", err)
	}
	cfg.GossipNodes, cfg.BindPort, cfg.AdvertiseAddr = 0, 99999, "not-an-ip"
	cfg.TLSEnabled, cfg.TLS.MinVersion = true, "VersionTLS99"
	cfg.CompressionEnabled, cfg.CompressionAlgorithm = true, "zip"
	err := cfg.Validate()
	for _, want := range []string{"gossip_nodes", "bind_port", "advertise_addr", "tls_cert_path", "compression_algorithm"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not reported: %v", want, err)
		}
	}
}

// Two members of one host never share a name, which would make each look like an impostor of the other.
func TestNamesAreRandom(t *testing.T) {
	cfg := DefaultConfig()
	cfg.NodeName = "host"
	a, err := nodeName(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, err := nodeName(cfg)
	if err != nil || a == b || !strings.HasPrefix(a, "host-") || len(a) != len("host-")+8 {
		t.Errorf("names %q and %q, %v", a, b, err)
	}
}

func TestHistoryKeepsToItsBudget(t *testing.T) {
	h := &history{budget: 1000}
	for i := range 100 {
		h.add(Message{ID: i, Pair: Pair{Key: "k", Value: make([]byte, 100)}})
	}
	msgs := h.all()
	if len(msgs) == 0 || len(msgs) > 10 || msgs[len(msgs)-1].ID != 99 {
		t.Errorf("%d messages, the last is %v", len(msgs), msgs[len(msgs)-1].ID)
	}
	h.clear()
	if len(h.all()) != 0 {
		t.Error("not empty after clear")
	}
}
