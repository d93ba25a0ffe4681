package membership

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ringctl/ringctl/engine/ring"
)

// phase is where an instance stands in its own life. The state in the ring follows from it.
type phase int8

const (
	unborn    phase = iota // nothing written yet
	waiting                // PENDING until due
	observing              // JOINING until due
	serving                // ACTIVE
	leaving                // LEAVING, still beating
	gone                   // entry removed, or left behind for good
)

func (p phase) String() string {
	return [...]string{"unborn", "waiting", "observing", "serving", "leaving", "gone"}[p]
}

func (p phase) state() ring.State {
	return [...]ring.State{ring.Pending, ring.Pending, ring.Joining, ring.Active, ring.Leaving, ring.Left}[p]
}

// machine is the memory of an instance between two writes. It is a value: a step gives the next one, so a
// compare-and-swap that has to try again starts from the same machine.
type machine struct {
	cfg   *Config
	phase phase
	due   time.Time // when waiting or observing ends

	tokens     []uint32 // what the instance believes to own; before the first step, those of the file
	registered int64    // Unix seconds
	readOnly   bool
	readOnlyAt int64 // Unix seconds of the last change; 0 never

	beat        int64     // timestamp of the entry last written; 0 before
	activeSince time.Time // when serving began
	doubtUntil  time.Time // until then this process may have missed what others wrote: it forgets nobody
	behind      bool      // our clock is behind our own entry, and we have said so
	held        int       // how many silent members were spared at the last look
}

// tick moves time: the first one registers, later ones beat and carry the join on.
type tick struct{}

// setReadOnly marks the instance read-only or not.
type setReadOnly struct{ on bool }

// leave announces the end; the instance beats on as LEAVING.
type leave struct{}

// depart ends it: the entry is removed, or kept as LEAVING.
type depart struct{ keep bool }

// effect is what a step wants done besides the change of the ring.
type effect struct {
	changed bool   // the ring was edited
	save    bool   // the tokens differ from those in the file
	notes   []Note // what happened, in order
}

func (e *effect) note(kind NoteKind, subject string, args ...any) {
	e.notes = append(e.notes, newNote(kind, subject, args...))
}

// step applies one event to the ring d, in place, and gives the machine that holds once d is stored.
// The error means that the event is impossible whatever is tried; then nothing was changed.
func (m machine) step(ev any, d *ring.Desc, now time.Time, dice *rand.Rand) (machine, effect, error) {
	var e effect
	cur, found := d.Instances[m.cfg.ID]
	found = found && cur.State != ring.Left
	if err := m.checkClock(cur, found, now); err != nil {
		return m, e, err
	}
	switch ev := ev.(type) {
	case depart:
		return m.departed(ev, d, cur, found, now)
	case leave:
		if m.phase == unborn || m.phase == gone {
			m.phase = gone
			return m, e, nil
		}
		m.phase = leaving
	case setReadOnly:
		if m.phase == unborn || m.phase == gone {
			return m, e, errNotRegistered
		}
		m.adopt(cur, found, &e)
		if m.readOnly != ev.on {
			m.readOnly, m.readOnlyAt = ev.on, max(now.Unix(), m.readOnlyAt+1)
			e.note(NoteReadOnly, m.cfg.ID, "read_only", ev.on)
		}
	default:
		m.advance(d, cur, found, now, dice, &e)
	}
	m.suspectSelf(cur, found, now)
	m.write(d, cur, found, now, &e)
	if m.phase == serving {
		m.forgetSilent(d, now, &e)
	}
	return m, e, nil
}

// checkClock refuses to start on an entry of our own that is dated in the future: every node would ignore
// what we write until that time, so we would be a member that nobody sees beating.
func (m machine) checkClock(cur ring.Instance, found bool, now time.Time) error {
	if found && m.phase == unborn && cur.HeartbeatState(now, m.cfg.Lookup.HeartbeatTimeout) == ring.Future {
		return &FutureEntryError{Ring: m.cfg.Key, ID: m.cfg.ID, Heartbeat: time.Unix(cur.Timestamp, 0).UTC(), Now: now.UTC()}
	}
	return nil
}

// advance carries registration and joining on as far as time and the ring allow.
func (m *machine) advance(d *ring.Desc, cur ring.Instance, found bool, now time.Time, dice *rand.Rand, e *effect) {
	switch m.phase {
	case unborn:
		m.register(d, cur, found, now, dice, e)
		return
	case waiting:
		m.adopt(cur, found, e)
		if !now.Before(m.due) {
			m.takeTokens(d, now, dice, e)
		}
	case observing:
		m.adopt(cur, found, e)
		m.observe(d, now, dice, e)
	case serving, leaving:
		m.adopt(cur, found, e)
	case gone:
	}
}

// register decides how life begins: afresh, or from what the ring or the file still knows.
func (m *machine) register(d *ring.Desc, cur ring.Instance, found bool, now time.Time, dice *rand.Rand, e *effect) {
	m.registered = now.Unix()
	m.doubtUntil = now.Add(m.cfg.Lookup.HeartbeatTimeout)
	fromFile := m.tokens
	if found {
		m.registered = cur.RegisteredTimestamp
		m.readOnly, m.readOnlyAt = cur.ReadOnly, cur.ReadOnlyUpdatedTimestamp
		m.tokens = cur.Tokens
		e.note(NoteFound, m.cfg.ID, "state", cur.State.String(), "tokens", len(cur.Tokens))
	}
	if len(m.tokens) == 0 {
		m.tokens = fromFile
	}
	resumed := len(m.tokens) > 0 && !(found && cur.State == ring.Joining)
	switch {
	case m.cfg.NumTokens == 0:
		m.tokens = nil
		m.become(serving, now, e)
	case resumed:
		m.fitTokens(d, dice, e)
		m.become(serving, now, e)
	case m.cfg.JoinAfter > 0 && len(m.tokens) == 0:
		m.become(waiting, now, e)
		m.due = now.Add(m.cfg.JoinAfter)
	default:
		m.takeTokens(d, now, dice, e)
	}
	e.save = m.phase != waiting && !slices.Equal(m.tokens, fromFile)
}

// takeTokens fills up to the wanted number and begins to observe, or to serve if there is nothing to wait for.
func (m *machine) takeTokens(d *ring.Desc, now time.Time, dice *rand.Rand, e *effect) {
	m.fitTokens(d, dice, e)
	if m.cfg.ObservePeriod == 0 {
		m.become(serving, now, e)
		return
	}
	m.become(observing, now, e)
	m.due = now.Add(m.cfg.ObservePeriod)
}

// observe waits; when the time is up, tokens lost to others are replaced and the time starts again.
func (m *machine) observe(d *ring.Desc, now time.Time, dice *rand.Rand, e *effect) {
	if now.Before(m.due) {
		return
	}
	shared := slices.DeleteFunc(slices.Clone(m.tokens), func(t uint32) bool { return !takenByOther(d, m.cfg.ID, t) })
	if len(m.tokens) == m.cfg.NumTokens && len(shared) == 0 {
		m.become(serving, now, e)
		return
	}
	e.note(NoteConflict, m.cfg.ID, "lost", m.cfg.NumTokens-len(m.tokens)+len(shared))
	m.tokens = slices.DeleteFunc(slices.Clone(m.tokens), func(t uint32) bool { return slices.Contains(shared, t) })
	m.fitTokens(d, dice, e)
	m.due = now.Add(m.cfg.ObservePeriod)
}

// become enters a phase.
func (m *machine) become(p phase, now time.Time, e *effect) {
	if p == serving {
		m.activeSince = now
	}
	m.phase = p
	e.note(NotePhase, m.cfg.ID, "state", p.state().String(), "tokens", len(m.tokens))
}

// fitTokens adds free random tokens or drops random ones until the number is the wanted one.
func (m *machine) fitTokens(d *ring.Desc, dice *rand.Rand, e *effect) {
	want := m.cfg.NumTokens
	tokens := slices.Clone(m.tokens)
	if len(tokens) > want {
		dice.Shuffle(len(tokens), func(i, j int) { tokens[i], tokens[j] = tokens[j], tokens[i] })
		tokens = tokens[:want]
	}
	if missing := want - len(tokens); missing > 0 {
		taken := takenTokens(d, m.cfg.ID)
		taken = append(taken, tokens...)
		tokens = append(tokens, ring.RandomTokens(missing, taken, dice)...)
	}
	slices.Sort(tokens)
	tokens = slices.Compact(tokens)
	e.save = e.save || !slices.Equal(tokens, m.tokens)
	m.tokens = tokens
}

// adopt takes over what others may rightly change in our entry: tokens lost in a conflict, and the
// read-only mark.
func (m *machine) adopt(cur ring.Instance, found bool, e *effect) {
	if !found {
		return
	}
	if cur.ReadOnlyUpdatedTimestamp > m.readOnlyAt {
		m.readOnly, m.readOnlyAt = cur.ReadOnly, cur.ReadOnlyUpdatedTimestamp
		e.note(NoteReadOnly, m.cfg.ID, "read_only", cur.ReadOnly, "by", "another member")
	}
	if m.phase != waiting && !slices.Equal(cur.Tokens, m.tokens) {
		if m.phase != observing {
			e.note(NoteTokensChanged, m.cfg.ID, "had", len(m.tokens), "has", len(cur.Tokens))
		}
		m.tokens, e.save = cur.Tokens, true
	}
}

// suspectSelf begins a time of doubt when our own last beat is older than the timeout: the process was
// suspended or cut off, so what looks like the silence of others may be ours.
func (m *machine) suspectSelf(cur ring.Instance, found bool, now time.Time) {
	timeout := m.cfg.Lookup.HeartbeatTimeout
	late := found && cur.HeartbeatState(now, timeout) == ring.Stale
	lost := !found && m.beat != 0
	if late || lost || (m.beat != 0 && now.Sub(time.Unix(m.beat, 0)) > timeout) {
		m.doubtUntil = now.Add(timeout)
	}
}

// write puts our entry into the ring, with a timestamp that beats the entry already there. Timestamps are
// whole seconds and a tie loses, so a second change within a second is dated one second ahead; a mere
// heartbeat within the same second is left out.
func (m *machine) write(d *ring.Desc, cur ring.Instance, found bool, now time.Time, e *effect) {
	next := cur
	if !found {
		next = ring.Instance{}
		if m.beat != 0 {
			e.note(NoteReAdded, m.cfg.ID)
		}
	}
	next.ID, next.Addr, next.Zone = m.cfg.ID, m.cfg.Addr, m.cfg.Zone
	next.State, next.Tokens = m.phase.state(), m.tokens
	next.RegisteredTimestamp = m.registered
	next.ReadOnly, next.ReadOnlyUpdatedTimestamp = m.readOnly, m.readOnlyAt
	next.Versions = m.cfg.Versions
	if found && m.beat != 0 && cur.Addr != m.cfg.Addr {
		e.note(NoteStolen, m.cfg.ID, "other", cur.Addr, "ours", m.cfg.Addr)
	}
	before := d.Instances[m.cfg.ID].Timestamp // a tombstone of ours counts, too
	if behind := before > now.Unix()+1; behind != m.behind {
		m.behind = behind
		if behind {
			e.note(NoteClockBehind, m.cfg.ID, "by", time.Duration(before-now.Unix())*time.Second)
		}
	}
	if found && before >= now.Unix() && sameContent(cur, next) {
		return
	}
	next.Timestamp = max(now.Unix(), before+1)
	if d.Instances == nil {
		d.Instances = make(map[string]ring.Instance, 1)
	}
	d.Instances[m.cfg.ID] = next
	m.beat, e.changed = next.Timestamp, true
}

// departed removes our entry or leaves it behind. An entry dated ahead of our clock is turned into a
// tombstone with its own date: a tombstone of now would lose against it on every other node.
func (m machine) departed(ev depart, d *ring.Desc, cur ring.Instance, found bool, now time.Time) (machine, effect, error) {
	var e effect
	m.phase = gone
	if !found {
		return m, e, nil
	}
	switch {
	case ev.keep:
		e.note(NoteKept, m.cfg.ID, "state", cur.State.String())
		return m, e, nil
	case cur.Timestamp > now.Unix():
		cur.State, cur.Tokens = ring.Left, nil
		d.Instances[m.cfg.ID] = cur
	default:
		delete(d.Instances, m.cfg.ID)
	}
	e.changed = true
	e.note(NoteUnregistered, m.cfg.ID)
	return m, e, nil
}

func sameContent(a, b ring.Instance) bool {
	return a.Addr == b.Addr && a.Zone == b.Zone && a.State == b.State && slices.Equal(a.Tokens, b.Tokens) &&
		a.RegisteredTimestamp == b.RegisteredTimestamp && a.ReadOnly == b.ReadOnly &&
		a.ReadOnlyUpdatedTimestamp == b.ReadOnlyUpdatedTimestamp && maps.Equal(a.Versions, b.Versions)
}

// takenTokens are the tokens of all others.
func takenTokens(d *ring.Desc, self string) []uint32 {
	var out []uint32
	for id, inst := range d.Instances {
		if id != self {
			out = append(out, inst.Tokens...)
		}
	}
	return out
}

func takenByOther(d *ring.Desc, self string, token uint32) bool {
	for id, inst := range d.Instances {
		if id == self || inst.State == ring.Left {
			continue
		}
		if _, ok := slices.BinarySearch(inst.Tokens, token); ok {
			return true
		}
	}
	return false
}
