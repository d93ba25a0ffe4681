package membership

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
)

// epoch is where stories begin.
var epoch = time.Unix(1_800_000_000, 0)

// machineTeller drives one machine by hand.
type machineTeller struct {
	cfg  Config
	m    machine
	d    *ring.Desc
	now  time.Time
	dice *rand.Rand
}

func TestMachineStories(t *testing.T) {
	tellStories(t, "machine", func(_ *testing.T, tell func(teller)) {
		s := &machineTeller{now: epoch, d: ring.NewDesc(), dice: rand.New(rand.NewPCG(1, 2))}
		tell(s.exec)
	})
}

func (s *machineTeller) exec(cmd string, a args) string {
	switch cmd {
	case "machine":
		s.cfg = configFrom(a)
		s.m = machine{cfg: &s.cfg, tokens: tokens(a.get("file", ""))}
	case "put":
		s.d.Instances[a.name(0)] = instanceFrom(a, s.now)
	case "drop":
		delete(s.d.Instances, a.name(0))
	case "sleep":
		s.now = s.now.Add(duration(a.name(0)))
	case "tick":
		return s.step(tick{})
	case "readonly":
		return s.step(setReadOnly{a.name(0) == "on"})
	case "leave":
		return s.step(leave{})
	case "depart":
		return s.step(depart{keep: a.name(0) == "keep"})
	case "show":
		return s.show()
	case "tokens":
		return fmt.Sprint(s.m.tokens)
	case "ready":
		rule, detail := readiness(s.m, ring.New(s.d, s.cfg.Lookup), s.now, a.name(0) == "again")
		if rule == "" {
			return "yes"
		}
		return rule + ": " + detail
	default:
		return "unknown command " + cmd
	}
	return ""
}

func (s *machineTeller) step(ev any) string {
	next, e, err := s.m.step(ev, s.d, s.now, s.dice)
	if err != nil {
		return "error: " + err.Error()
	}
	s.m = next
	var b strings.Builder
	for _, n := range e.notes {
		fmt.Fprintln(&b, n)
	}
	if !e.changed {
		b.WriteString("nothing written\n")
	} else if inst, ok := s.d.Instances[s.cfg.ID]; ok {
		b.WriteString("wrote " + describe(inst, s.now) + "\n")
	}
	if e.save && s.cfg.NumTokens > 0 {
		fmt.Fprintf(&b, "saved %d tokens\n", len(next.tokens))
	}
	return b.String()
}

func (s *machineTeller) show() string {
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(s.d.Instances)) {
		b.WriteString(describe(s.d.Instances[id], s.now) + "\n")
	}
	return b.String()
}

func configFrom(a args) Config {
	cfg := DefaultConfig()
	cfg.Key, cfg.Name = "collectors/ring", "ingester"
	cfg.ID = a.name(0)
	cfg.Addr = a.get("addr", cfg.ID+":1")
	cfg.Zone = a.get("zone", "")
	cfg.NumTokens = a.num("tokens", 0)
	cfg.JoinAfter = a.duration("join", 0)
	cfg.ObservePeriod = a.duration("observe", 0)
	cfg.MinReadyDuration = a.duration("minready", 0)
	cfg.ReadinessCheckRing = a.flag("checkring", false)
	cfg.AutoForget = a.num("forget", 0)
	cfg.UnregisterOnShutdown = a.flag("unregister", true)
	cfg.TokensFile = a.get("tokensfile", "")
	return cfg
}

func instanceFrom(a args, now time.Time) ring.Instance {
	id := a.name(0)
	state, _ := ring.ParseState(a.get("state", "ACTIVE"))
	return ring.Instance{
		ID: id, Addr: a.get("addr", id+":1"), Zone: a.get("zone", ""), State: state,
		Timestamp:                now.Add(a.duration("beat", 0)).Unix(),
		RegisteredTimestamp:      now.Add(a.duration("registered", 0)).Unix(),
		Tokens:                   tokens(a.get("tokens", "")),
		ReadOnly:                 a.flag("readonly", false),
		ReadOnlyUpdatedTimestamp: readOnlyAt(a, now),
	}
}

func readOnlyAt(a args, now time.Time) int64 {
	if a.get("readonly", "") == "" {
		return 0
	}
	return now.Unix()
}

// TestMachineAlwaysMovesForward checks on random lives what every other member relies on: a written entry
// always beats the one it replaces, and the number of tokens is right while serving in peace.
func TestMachineAlwaysMovesForward(t *testing.T) {
	for seed := range uint64(300) {
		dice := rand.New(rand.NewPCG(seed, 7))
		cfg := configFrom(args{"a", "tokens=3", "join=3s", "observe=4s", "forget=2"})
		d := &ring.Desc{Instances: map[string]ring.Instance{}}
		m, now := machine{cfg: &cfg}, epoch
		for range 60 {
			now = now.Add(time.Duration(dice.IntN(7000)-1500) * time.Millisecond) // clocks jump back, too
			var ev any = tick{}
			switch dice.IntN(10) {
			case 0:
				ev = setReadOnly{dice.IntN(2) == 0}
			case 1:
				delete(d.Instances, "a")
			case 2:
				b := ring.Instance{ID: "b", State: ring.Active, Timestamp: now.Unix(), Tokens: slices.Clone(m.tokens)}
				d.Instances["b"] = b
			}
			before := d.Instances["a"]
			next, e, err := m.step(ev, d, now, dice)
			if err != nil {
				if m.phase != unborn {
					t.Fatalf("seed %d: %v", seed, err)
				}
				continue
			}
			m = next
			after := d.Instances["a"]
			if !sameContent(before, after) && after.Timestamp <= before.Timestamp {
				t.Fatalf("seed %d: %+v does not beat %+v", seed, after, before)
			}
			if e.changed && m.phase == serving && len(after.Tokens) != cfg.NumTokens {
				t.Fatalf("seed %d: serving with %d tokens", seed, len(after.Tokens))
			}
		}
	}
}
