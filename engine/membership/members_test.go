package membership

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringctl/ringctl/engine/kv"
	"github.com/ringctl/ringctl/engine/kv/memkv"
	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// flakyStore fails every call while it is down. What a crashed member would still write is dropped, too.
type flakyStore struct {
	kv.Store
	down atomic.Bool
}

var errStoreDown = errors.New("store is down")

func (s *flakyStore) CAS(ctx context.Context, key string, f func([]byte) ([]byte, bool, error)) error {
	if s.down.Load() {
		return errStoreDown
	}
	return s.Store.CAS(ctx, key, f)
}

// member is one process of a story.
type member struct {
	store  *flakyStore
	inst   *Instance
	part   *Partition
	cancel context.CancelFunc
	done   chan error
}

// cluster is several members in one bubble, sharing a store in memory.
type cluster struct {
	t       *testing.T
	store   *memkv.Store
	dir     string
	members map[string]*member
}

func TestMemberStories(t *testing.T) {
	tellStories(t, "members", func(t *testing.T, tell func(teller)) {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			c := &cluster{t: t, store: memkv.New(), dir: dir, members: map[string]*member{}}
			tell(c.exec)
			for id := range c.members {
				c.crash(id)
			}
		})
	})
}

func (c *cluster) exec(cmd string, a args) string {
	switch cmd {
	case "start":
		return c.startMember(a)
	case "own":
		return c.startOwner(a)
	case "wait":
		time.Sleep(duration(a.name(0)))
		synctest.Wait()
	case "stop":
		return c.stopMember(a)
	case "crash":
		c.crash(a.name(0))
	case "cut":
		c.members[a.name(0)].store.down.Store(true)
	case "heal":
		c.members[a.name(0)].store.down.Store(false)
	case "put":
		return c.put(a)
	case "leave":
		return result(c.members[a.name(0)].inst.Leave(c.t.Context()))
	case "readonly":
		return result(c.members[a.name(0)].inst.SetReadOnly(c.t.Context(), a.name(1) == "on"))
	case "ready":
		return c.ready(a)
	case "ring":
		return c.ring()
	case "sees":
		return c.sees(a)
	default:
		return c.partitionExec(cmd, a)
	}
	return ""
}

func (c *cluster) partitionExec(cmd string, a args) string {
	m := c.members[a.name(0)]
	ctx := c.t.Context()
	switch cmd {
	case "state":
		to, _ := partition.ParseState(a.name(1))
		return result(m.part.ChangeState(ctx, to))
	case "prepare":
		return result(m.part.PrepareDownscale(ctx))
	case "cancel":
		return result(m.part.CancelDownscale(ctx))
	case "prepared":
		return fmt.Sprint(m.part.DownscalePrepared())
	case "lock":
		return result(c.editPartitions(func(d *partition.Desc) {
			_, err := partition.SetLock(d, int32(a.num("partition", 0)), a.name(0) == "on", time.Now())
			if err != nil {
				c.t.Error(err)
			}
		}))
	case "drop-owner":
		return result(c.editPartitions(func(d *partition.Desc) { delete(d.Owners, a.name(0)) }))
	case "drop-partition":
		return result(c.editPartitions(func(d *partition.Desc) { delete(d.Partitions, int32(a.num("partition", 0))) }))
	case "partitions":
		return c.partitions()
	}
	return "unknown command " + cmd
}

func (c *cluster) startMember(a args) string {
	cfg := configFrom(a)
	if a.flag("file", false) {
		cfg.TokensFile = filepath.Join(c.dir, cfg.ID+".json")
	}
	m := &member{store: &flakyStore{Store: c.store}, done: make(chan error, 1)}
	var err error
	if m.inst, err = New(cfg, m.store, quiet(), nil); err != nil {
		return err.Error()
	}
	c.run(a.get("as", cfg.ID), m, m.inst.Run)
	return c.early(m)
}

func (c *cluster) startOwner(a args) string {
	cfg := DefaultPartitionConfig()
	cfg.Key, cfg.OwnerID = "collectors/partitions", a.name(0)
	cfg.Partition = int32(a.num("partition", 0))
	cfg.MinOwners = a.num("owners", 1)
	cfg.DeleteInactiveAfter = a.duration("delete", time.Hour)
	cfg.CreateOnStartup = a.flag("create", true)
	cfg.RemoveOwnerOnShutdown = a.flag("remove", true)
	if w := c.members[a.get("instances", "")]; w != nil {
		cfg.Instances = w.inst.Ring
	}
	if a.flag("marker", false) {
		cfg.MarkerFile = filepath.Join(c.dir, a.name(0)+".marker")
	}
	m := &member{store: &flakyStore{Store: c.store}, done: make(chan error, 1)}
	var err error
	if m.part, err = NewPartition(cfg, m.store, quiet(), nil); err != nil {
		return err.Error()
	}
	c.run(a.name(0), m, m.part.Run)
	return c.early(m)
}

func (c *cluster) run(id string, m *member, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(c.t.Context())
	m.cancel = cancel
	c.members[id] = m
	go func() { m.done <- run(ctx) }()
	synctest.Wait()
}

// early is the error of a member that did not come up.
func (c *cluster) early(m *member) string {
	select {
	case err := <-m.done:
		m.done <- err
		return "ended: " + err.Error()
	default:
		return ""
	}
}

func (c *cluster) stopMember(a args) string {
	m := c.members[a.name(0)]
	m.cancel()
	err := <-m.done
	delete(c.members, a.name(0))
	return result(err)
}

// crash ends a member without a goodbye.
func (c *cluster) crash(id string) {
	m := c.members[id]
	m.store.down.Store(true)
	m.cancel()
	<-m.done //nolint:errcheck // a crash says no goodbye
	delete(c.members, id)
}

// put writes an entry of somebody else.
func (c *cluster) put(a args) string {
	return result(Rings(c.store).CAS(c.t.Context(), "collectors/ring", func(d *ring.Desc) (*ring.Desc, bool, error) {
		if d == nil {
			d = ring.NewDesc()
		}
		d.Instances[a.name(0)] = instanceFrom(a, time.Now())
		return d, true, nil
	}))
}

func (c *cluster) editPartitions(f func(*partition.Desc)) error {
	return PartitionRings(c.store).CAS(c.t.Context(), "collectors/partitions", func(d *partition.Desc) (*partition.Desc, bool, error) {
		f(d)
		return d, true, nil
	})
}

func (c *cluster) ready(a args) string {
	synctest.Wait()
	m := c.members[a.name(0)]
	err := error(nil)
	if m.inst != nil {
		err = m.inst.Ready()
	} else {
		err = m.part.Ready()
	}
	var not *NotReadyError
	if errors.As(err, &not) {
		return not.Rule
	}
	return "yes"
}

// ring prints what is in the store.
func (c *cluster) ring() string {
	d, err := Rings(c.store).Get(c.t.Context(), "collectors/ring")
	if err != nil {
		return err.Error()
	}
	if d == nil || len(d.Instances) == 0 {
		return "empty"
	}
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(d.Instances)) {
		b.WriteString(describe(d.Instances[id], time.Now()) + "\n")
	}
	return b.String()
}

// sees prints what a member's snapshot shows.
func (c *cluster) sees(a args) string {
	synctest.Wait()
	var b strings.Builder
	m := c.members[a.name(0)]
	if m.part != nil {
		for _, p := range m.part.Ring().Partitions() {
			fmt.Fprintf(&b, "%d %s\n", p.ID, p.State)
		}
		return b.String()
	}
	for _, inst := range m.inst.Ring().Instances() {
		fmt.Fprintf(&b, "%s %s tokens=%d\n", inst.ID, inst.State, len(inst.Tokens))
	}
	return b.String()
}

func (c *cluster) partitions() string {
	d, err := PartitionRings(c.store).Get(c.t.Context(), "collectors/partitions")
	if err != nil {
		return err.Error()
	}
	if d == nil {
		return "empty"
	}
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(d.Partitions)) {
		p := d.Partitions[id]
		fmt.Fprintf(&b, "%d %s since=%+ds locked=%t tokens=%d owners=%v\n", id, p.State,
			p.StateTimestamp-time.Now().Unix(), p.StateChangeLocked, len(p.Tokens), ownersOf(d, id))
	}
	for _, o := range slices.Sorted(maps.Keys(d.Owners)) {
		if _, ok := d.Partitions[d.Owners[o].OwnedPartition]; !ok {
			fmt.Fprintf(&b, "orphan %s of %d\n", o, d.Owners[o].OwnedPartition)
		}
	}
	return b.String()
}

func result(err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	return ""
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
