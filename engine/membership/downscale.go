package membership

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ringctl/ringctl/engine/partition"
)

// ErrNotInactive refuses to prepare the downscale of a partition that still takes writes.
var ErrNotInactive = errors.New("the partition is not INACTIVE")

// markerText is what a marker file holds, for people who find it.
const markerText = "A downscale of this instance was prepared: when it stops, it removes itself from its partition,\n" +
	"and it will not create the partition again. DELETE /live-store/prepare-downscale takes this back.\n"

// DownscalePrepared tells whether the next stop of this process is its last.
func (p *Partition) DownscalePrepared() bool { return p.prepared.Load() }

// PrepareDownscale readies this process for its last stop: its owner entry will be removed then, and the
// partition will not be created again. The partition must be INACTIVE in the store, else the error wraps
// [ErrNotInactive] and nothing is left behind. Doing it twice is no error.
func (p *Partition) PrepareDownscale(ctx context.Context) error {
	p.preparing.Lock()
	defer p.preparing.Unlock()
	d, err := p.store.Get(ctx, p.cfg.Key)
	if err != nil {
		return fmt.Errorf("prepare downscale of partition %d: %w", p.cfg.Partition, err)
	}
	if d == nil {
		d = &partition.Desc{}
	}
	part, ok := d.Partitions[p.cfg.Partition]
	if !ok {
		return fmt.Errorf("prepare downscale of partition %d: %w", p.cfg.Partition, partition.ErrDoesNotExist)
	}
	if part.State != partition.Inactive {
		return fmt.Errorf("prepare downscale of partition %d: %w but %s (first POST prepare-partition-downscale, "+
			"or ringctl partition deactivate %d)", p.cfg.Partition, ErrNotInactive, part.State, p.cfg.Partition)
	}
	if p.cfg.MarkerFile != "" {
		if err := writeFileAtomic(p.cfg.MarkerFile, []byte(markerText)); err != nil {
			return fmt.Errorf("prepare downscale of partition %d: write marker: %w", p.cfg.Partition, err)
		}
	}
	p.prepared.Store(true)
	return nil
}

// CancelDownscale takes PrepareDownscale back: the configured behaviour at start and stop holds again.
func (p *Partition) CancelDownscale(context.Context) error {
	p.preparing.Lock()
	defer p.preparing.Unlock()
	if p.cfg.MarkerFile != "" {
		if err := removeMarker(p.cfg.MarkerFile); err != nil {
			return fmt.Errorf("cancel downscale of partition %d: %w", p.cfg.Partition, err)
		}
	}
	p.prepared.Store(false)
	return nil
}

// createsPartition and removesOwner are the configured behaviour unless a downscale is prepared.
func (p *Partition) createsPartition() bool { return p.cfg.CreateOnStartup && !p.prepared.Load() }
func (p *Partition) removesOwner() bool     { return p.cfg.RemoveOwnerOnShutdown || p.prepared.Load() }

func hasMarker(path string) (bool, error) {
	if path == "" {
		return false, nil
	}
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("downscale marker: %w", err)
	}
	return true, nil
}

func removeMarker(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("remove downscale marker: %w", err)
	}
	return nil
}
