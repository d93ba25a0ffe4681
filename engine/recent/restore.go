package recent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/tenant"
	"github.com/ringctl/ringctl/engine/wal"
)

// damagedSuffix ends the names of folders of blocks that cannot be opened.
const damagedSuffix = ".damaged"

// restore brings back what was there: first the finished blocks, then, by way of
// the log, the heads.
func (s *Store) restore() error {
	done, err := s.loadBlocks()
	if err != nil {
		return err
	}
	info, err := s.wal.Replay(func(rec []byte) error { return s.replay(rec, done) })
	var damage *wal.DamageError
	if errors.As(err, &damage) {
		s.m.replayLost.Add(float64(len(damage.Damage)))
		s.log.Error("recent spans: the log is damaged, what could be read was", "err", err)
	} else if err != nil {
		return err
	}
	if info.Records > 0 {
		s.log.Info("recent spans restored", "log", info.String())
	}
	segment, err := s.wal.Rotate()
	if err != nil {
		return fmt.Errorf("start a log segment: %w", err)
	}
	s.segment.Store(segment)
	for _, t := range s.tenants {
		for _, b := range t.blocks {
			if b.after != 0 {
				b.after = segment // its cut is somewhere before
			}
		}
	}
	return nil
}

// loadBlocks opens the blocks of the folder and returns their ids. A block that
// cannot be opened is set aside, for a person to look at.
func (s *Store) loadBlocks() (map[block.ID]*localBlock, error) {
	done := map[block.ID]*localBlock{}
	tenants, err := os.ReadDir(s.blocksDir())
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	for _, d := range tenants {
		if !d.IsDir() || tenant.Valid(d.Name()) != nil {
			continue
		}
		names, err := os.ReadDir(filepath.Join(s.blocksDir(), d.Name()))
		if err != nil {
			return nil, fmt.Errorf("list blocks: %w", err)
		}
		for _, n := range names {
			if err := s.loadBlock(d.Name(), n.Name(), done); err != nil {
				return nil, err
			}
		}
	}
	return done, nil
}

func (s *Store) loadBlock(tenantID, name string, done map[block.ID]*localBlock) error {
	dir := filepath.Join(s.blocksDir(), tenantID, name)
	switch {
	case strings.HasSuffix(name, tmpSuffix):
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove unfinished block: %w", err)
		}
		return nil
	case strings.HasSuffix(name, damagedSuffix):
		return nil
	}
	t, err := s.tenant(tenantID)
	if err != nil {
		return err
	}
	b, err := block.Open(context.Background(), s.bucket, tenantID, name, block.OpenOptions{Cache: s.cache})
	if err != nil {
		s.log.Error("recent spans: a local block cannot be opened and is set aside", "block", name, "tenant", tenantID, "err", err)
		if err := os.Rename(dir, dir+damagedSuffix); err != nil {
			return fmt.Errorf("set damaged block aside: %w", err)
		}
		return nil
	}
	lb := &localBlock{meta: b.Meta(), open: b}
	if st, err := os.Stat(filepath.Join(dir, shippedName)); err == nil {
		lb.shipped = st.ModTime()
	}
	t.blocks = append(t.blocks, lb)
	done[name] = lb
	return nil
}

// replay applies one record of the log.
func (s *Store) replay(rec []byte, done map[block.ID]*localBlock) error {
	r, err := parseRecord(rec)
	if err != nil {
		s.m.replayLost.Inc()
		s.log.Error("recent spans: a record of the log is not understood and left out", "err", err)
		return nil
	}
	t, err := s.tenant(r.tenant)
	if err != nil {
		return err
	}
	if r.kind == recordPush {
		s.bytes.Add(int64(len(r.otlp)))
		return s.append(t, r.otlp, 0)
	}
	t.mu.Lock()
	err = s.take(t, r.id, r.held, 1)
	t.mu.Unlock()
	if err != nil {
		return err
	}
	if b := done[r.id]; b != nil {
		b.after = 1
		c := t.sealing[0]
		s.sealed(t, c, nil)
		return nil
	}
	return s.sealAll(t)
}
