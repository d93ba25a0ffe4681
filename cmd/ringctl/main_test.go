package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ringctl/ringctl/client/clienttest"
	"github.com/ringctl/ringctl/cmd/ringctl/command"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

func TestMain(m *testing.M) {
	testscript.Main(tidyTests{m}, map[string]func(){"ringctl": ringctl})
}

// tidyTests runs the tests and removes what they built.
type tidyTests struct{ m *testing.M }

func (t tidyTests) Run() int {
	defer func() {
		if builtIn != "" {
			os.RemoveAll(builtIn) //nolint:errcheck // a leftover in the temporary folder fails no test
		}
	}()
	return t.m.Run()
}

// ringctl is the program with a clock that stands still at $NOW, so that ages are the same in each run.
func ringctl() {
	env := environment()
	if now, err := strconv.ParseInt(os.Getenv("NOW"), 10, 64); err == nil {
		env.Now = func() time.Time { return time.Unix(now, 0).UTC() }
	}
	os.Exit(command.Run(context.Background(), env))
}

// TestStories runs testdata/script/*.txtar. Besides the usual commands they have those of the table in commands;
// UPDATE=1 rewrites the expected output.
func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               setup,
		Cmds:                commands(),
		UpdateScripts:       os.Getenv("UPDATE") != "",
		RequireExplicitExec: true,
	})
}

type clusterKey struct{}

// repository is the root of the repository, seen from the folder in which the tests run.
var repository = func() string {
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		panic(err)
	}
	return dir
}()

func setup(env *testscript.Env) error {
	now := time.Now().Truncate(time.Second)
	env.Values[transcriptKey{}] = &transcript{began: now, blocks: map[string]string{}}
	env.Values[clusterKey{}] = &story{now: now, rings: map[string]map[string]*ring.Desc{}, partitions: map[string]map[string]*partition.Desc{}}
	env.Setenv("NOW", strconv.FormatInt(now.Unix(), 10))
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("XDG_CONFIG_HOME", "")
	env.Setenv("XDG_STATE_HOME", "")
	env.Setenv("GORACE", "atexit_sleep_ms=0") // each run of ringctl would sleep for a second
	return nil
}

// story is one script's cluster and clock. Rings are prepared here and go into the members with load, because in a
// running cluster nothing can be made older than it is.
type story struct {
	now        time.Time
	cluster    *clienttest.Cluster
	rings      map[string]map[string]*ring.Desc      // key, member
	partitions map[string]map[string]*partition.Desc // key, member
}

func (s *story) at(age string) (time.Time, error) {
	d, err := time.ParseDuration(age)
	return s.now.Add(-d), err
}

// commands are the words of a story, beside those of testscript:
//
//	cluster [label=L] [live] [alone] NODE...           start members; $RINGCTL_SEEDS names them
//	ring KEY NAME COUNT TOKENS [ZONE...]               prepare COUNT ACTIVE members NAME-0..
//	set KEY ID FIELD=VALUE... [on=NODE,..]             change one instance: age, state, zone, addr, tokens, readonly
//	partitions KEY COUNT [OWNER=PARTITION...]          COUNT ACTIVE partitions with owners
//	setpartition KEY ID FIELD=VALUE... [on=NODE,..]    change one partition: state, age, locked
//	unset KEY ID [on=NODE,..]                          take an instance out
//	load                                               put what was prepared into the members
//	crash|cut|heal|deafen NODE, sync                   break things
//	exits CODE ringctl...                              run it, and expect an exit code
//	valid                                              the last output is JSON as its schema in docs/schemas says
//	scene NAME, types CODE ringctl..., transcript FILE keep a transcript and compare it with a document, see transcript
//	later DURATION RING...                             move the clock, with the heartbeats of those in the rings that are alive
//	tidy                                               the last output to the files out and err, without addresses and times
func commands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"cluster": cmdCluster, "ring": cmdRing, "set": cmdSet, "partitions": cmdPartitions, "setpartition": cmdSetPartition, "unset": cmdUnset, "load": cmdLoad,
		"crash":  onNode(func(c *clienttest.Cluster, n string) error { return c.Kill(n) }),
		"cut":    onNode(func(c *clienttest.Cluster, n string) error { c.Cut(n); return nil }),
		"heal":   onNode(func(c *clienttest.Cluster, n string) error { c.Heal(n); return nil }),
		"deafen": onNode(func(c *clienttest.Cluster, n string) error { c.Deafen(n); return nil }),
		"sync":   cmdSync, "exits": cmdExits, "tidy": cmdTidy, "valid": cmdValid,
		"scene": cmdScene, "types": cmdTypes, "later": cmdLater, "transcript": cmdTranscript,
	}
}

func storyOf(ts *testscript.TestScript) *story { return ts.Value(clusterKey{}).(*story) }

func cmdCluster(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	cfg := clienttest.Config{}
	for _, a := range args {
		switch {
		case strings.HasPrefix(a, "label="):
			cfg.Label = strings.TrimPrefix(a, "label=")
		case a == "live":
			cfg.Live = true
		case a == "alone":
			cfg.Alone = true
		default:
			cfg.Names = append(cfg.Names, a)
		}
	}
	c, err := clienttest.Start(context.Background(), cfg)
	ts.Check(err)
	ts.Defer(func() { ts.Check(c.Close()) })
	s.cluster = c
	ts.Setenv("RINGCTL_SEEDS", strings.Join(c.Seeds(), ","))
	for _, name := range cfg.Names {
		ts.Setenv("ADDR_"+strings.ReplaceAll(name, "-", "_"), c.Addr(name))
	}
}

func cmdRing(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	count, err := strconv.Atoi(args[2])
	ts.Check(err)
	tokens, err := strconv.Atoi(args[3])
	ts.Check(err)
	s.rings[args[0]] = map[string]*ring.Desc{}
	for _, node := range s.cluster.Names() {
		s.rings[args[0]][node] = clienttest.Ring(args[1], count, tokens, s.now, args[4:]...)
	}
}

func cmdLoad(ts *testscript.TestScript, _ bool, _ []string) {
	s := storyOf(ts)
	for key, of := range s.rings {
		for node, d := range of {
			ts.Check(s.cluster.Put(key, d, node))
		}
	}
	for key, of := range s.partitions {
		for node, d := range of {
			ts.Check(s.cluster.PutPartitions(key, d, node))
		}
	}
	clear(s.rings)
	clear(s.partitions)
}

// split separates "on=a,b" from the other words.
func split(args []string) (fields map[string]string, on []string) {
	fields = map[string]string{}
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		if k == "on" {
			on = strings.Split(v, ",")
			continue
		}
		fields[k] = v
	}
	return fields, on
}

// cmdSet changes one prepared instance; after load it merges the changed instance, which must then be newer.
func cmdSet(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	key, id := args[0], args[1]
	fields, on := split(args[2:])
	for _, node := range s.where(on) {
		prepared := s.rings[key][node]
		d := prepared
		if d == nil {
			d = s.cluster.Ring(node, key)
		}
		inst, ok := d.Instances[id]
		if !ok {
			inst = ring.Instance{ID: id, State: ring.Active, Timestamp: s.now.Unix()}
		}
		ts.Check(change(s, &inst, fields))
		if prepared != nil {
			prepared.Instances[id] = inst
			continue
		}
		ts.Check(s.cluster.Put(key, &ring.Desc{Instances: map[string]ring.Instance{id: inst}}, node))
	}
}

func cmdUnset(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	_, on := split(args[2:])
	for _, node := range s.where(on) {
		delete(s.rings[args[0]][node].Instances, args[1])
	}
}

func (s *story) where(on []string) []string {
	if len(on) > 0 {
		return on
	}
	return s.cluster.Names()
}

func change(s *story, inst *ring.Instance, fields map[string]string) error {
	for k, v := range fields {
		switch k {
		case "age":
			at, err := s.at(v)
			if err != nil {
				return err
			}
			inst.Timestamp = at.Unix()
		case "state":
			st, ok := ring.ParseState(v)
			if !ok {
				return fmt.Errorf("no state %s", v)
			}
			inst.State = st
		case "zone":
			inst.Zone = v
		case "addr":
			inst.Addr = v
		case "readonly":
			inst.ReadOnly, inst.ReadOnlyUpdatedTimestamp = v == "true", s.now.Unix()
		case "tokens":
			inst.Tokens = nil
			for _, n := range strings.Split(v, ",") {
				t, err := strconv.ParseUint(n, 10, 32)
				if err != nil {
					return err
				}
				inst.Tokens = append(inst.Tokens, uint32(t))
			}
		default:
			return fmt.Errorf("no field %s", k)
		}
	}
	return nil
}

func cmdPartitions(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	s.partitions[args[0]] = map[string]*partition.Desc{}
	for _, node := range s.cluster.Names() {
		d, err := clienttest.Partitions(count, s.now)
		ts.Check(err)
		for _, a := range args[2:] {
			owner, p, _ := strings.Cut(a, "=")
			id, err := strconv.Atoi(p)
			ts.Check(err)
			partition.AddOwner(d, owner, int32(id), partition.OwnerActive, s.now.Add(-time.Hour))
		}
		s.partitions[args[0]][node] = d
	}
}

func cmdSetPartition(ts *testscript.TestScript, _ bool, args []string) {
	s := storyOf(ts)
	id, err := strconv.Atoi(args[1])
	ts.Check(err)
	fields, on := split(args[2:])
	for _, node := range s.where(on) {
		d := s.partitions[args[0]][node]
		p := d.Partitions[int32(id)]
		p.StateTimestamp = s.now.Add(-30 * time.Minute).Unix()
		for k, v := range fields {
			switch k {
			case "state":
				p.State, _ = partition.ParseState(v)
			case "age":
				at, err := s.at(v)
				ts.Check(err)
				p.StateTimestamp = at.Unix()
			case "locked":
				p.StateChangeLocked, p.StateChangeLockedTimestamp = v == "true", s.now.Add(-30*time.Minute).Unix()
			default:
				ts.Fatalf("no field %s", k)
			}
		}
		d.Partitions[int32(id)] = p
	}
}

// onNode is a command that does something to one member.
func onNode(f func(*clienttest.Cluster, string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(f(storyOf(ts).cluster, args[0])) }
}

func cmdSync(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(storyOf(ts).cluster.Sync()) }

// cmdExits runs a program and expects an exit code.
func cmdExits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s\nstderr: %s", got, args[0], ts.ReadFile("stderr"))
	}
}

var tidies = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDR"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`"tookSeconds": [0-9.e-]+`), `"tookSeconds": N`},
	{regexp.MustCompile(`ringctl-[a-zA-Z0-9.-]+-[0-9a-f]{8}`), "GUEST"},
}

func cmdTidy(ts *testscript.TestScript, _ bool, _ []string) {
	for name, file := range map[string]string{"stdout": "out", "stderr": "err"} {
		text := ts.ReadFile(name)
		for _, t := range tidies {
			text = t.re.ReplaceAllString(text, t.to)
		}
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o644))
	}
}

// cmdValid checks the last output, one document or one per line, against the schema of its kind.
func cmdValid(ts *testscript.TestScript, _ bool, _ []string) {
	dec := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	for n := 0; ; n++ {
		var doc map[string]any
		if err := dec.Decode(&doc); err == io.EOF && n > 0 {
			return
		} else if err != nil {
			ts.Fatalf("document %d: %v", n, err)
		}
		raw, err := os.ReadFile(filepath.Join(repository, "docs", "schemas", fmt.Sprint(doc["kind"])+".json"))
		ts.Check(err)
		var schema map[string]any
		ts.Check(json.Unmarshal(raw, &schema))
		if why := violates(doc, schema, "$"); why != "" {
			ts.Fatalf("%s: %s", doc["kind"], why)
		}
	}
}

// violates says in what a value does not fit a schema, with the few words of JSON Schema that docs/schemas uses; "" when it fits.
func violates(v any, schema map[string]any, at string) string {
	if want, ok := schema["const"]; ok {
		if v != want {
			return fmt.Sprintf("%s is %v, want %v", at, v, want)
		}
		return ""
	}
	kind := map[string]bool{}
	switch t := schema["type"].(type) {
	case string:
		kind[t] = true
	case []any:
		for _, x := range t {
			kind[x.(string)] = true
		}
	}
	switch v := v.(type) {
	case nil:
		if !kind["null"] {
			return at + " is null"
		}
	case bool:
		if !kind["boolean"] {
			return at + " is a boolean"
		}
	case string:
		if !kind["string"] {
			return at + " is a string"
		}
	case float64:
		if !kind["number"] && !kind["integer"] || !kind["number"] && v != float64(int64(v)) {
			return fmt.Sprintf("%s is the number %v", at, v)
		}
	case []any:
		if !kind["array"] {
			return at + " is an array"
		}
		for i, e := range v {
			if why := violates(e, schema["items"].(map[string]any), fmt.Sprintf("%s[%d]", at, i)); why != "" {
				return why
			}
		}
	case map[string]any:
		return violatesObject(v, schema, kind, at)
	}
	return ""
}

func violatesObject(v, schema map[string]any, kind map[string]bool, at string) string {
	if !kind["object"] {
		return at + " is an object"
	}
	required, _ := schema["required"].([]any)
	for _, r := range required {
		if _, ok := v[r.(string)]; !ok {
			return fmt.Sprintf("%s has no %s", at, r)
		}
	}
	props, _ := schema["properties"].(map[string]any)
	for name, e := range v {
		sub, ok := props[name].(map[string]any)
		if !ok {
			sub, ok = schema["additionalProperties"].(map[string]any)
		}
		if !ok {
			return fmt.Sprintf("%s.%s is in no schema", at, name)
		}
		if why := violates(e, sub, at+"."+name); why != "" {
			return why
		}
	}
	return ""
}

// TestStoriesAreListed keeps the words of commands and their description together.
func TestStoriesAreListed(t *testing.T) {
	src, err := os.ReadFile("main_test.go")
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(src), "func commands()")
	for name := range commands() {
		if !slices.ContainsFunc(strings.Fields(strings.NewReplacer("|", " ", ",", " ").Replace(head)), func(w string) bool { return w == name }) {
			t.Errorf("command %s is not described", name)
		}
	}
}
