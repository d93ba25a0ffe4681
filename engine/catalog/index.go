package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/tenant"
)

// The index objects: TenantsName lists the tenants, and for each there is
// <tenant>/IndexName with the metas of its blocks. Both are zstd-compressed JSON.
const (
	TenantsName = "tenants.json.zst"
	IndexName   = "index.json.zst"

	maxIndex = 256 << 20
)

var errNoIndex = errors.New("no fresh index")

// tenantsIndex is the content of TenantsName.
type tenantsIndex struct {
	Written time.Time `json:"written"`
	Tenants []string  `json:"tenants"`
}

// writeIndex writes the index of the tenants whose blocks changed, and last the
// list of tenants, whose age is the age of all.
func (c *Catalog) writeIndex(ctx context.Context, old, next *list) error {
	t := tenantsIndex{Written: next.at}
	for id, b := range next.tenants {
		t.Tenants = append(t.Tenants, id)
		if was := old.tenants[id]; was == nil || !sameBlocks(was, b) {
			if err := c.put(ctx, id+"/"+IndexName, b.all); err != nil {
				return err
			}
		}
	}
	return c.put(ctx, TenantsName, &t)
}

func sameBlocks(a, b *blocks) bool {
	if len(a.all) != len(b.all) {
		return false
	}
	for i := range a.all {
		if a.all[i].ID != b.all[i].ID {
			return false
		}
	}
	return true
}

func (c *Catalog) put(ctx context.Context, name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	defer z.Close()
	b := z.EncodeAll(raw, nil)
	return c.bucket.Put(ctx, name, bytes.NewReader(b), int64(len(b)))
}

func (c *Catalog) get(ctx context.Context, name string, v any) error {
	b, err := bucket.ReadAll(ctx, c.bucket, name, maxIndex)
	if err != nil {
		return err
	}
	return decodeIndex(b, v)
}

// decodeIndex reads an index object.
func decodeIndex(b []byte, v any) error {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxIndex))
	if err != nil {
		return fmt.Errorf("decode index: %w", err)
	}
	defer z.Close()
	raw, err := z.DecodeAll(b, nil)
	if err != nil {
		return fmt.Errorf("decode index: %w", err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("decode index: %w", err)
	}
	return nil
}

// readIndex reads the index objects; errNoIndex when there are none or they are
// too old.
func (c *Catalog) readIndex(ctx context.Context) (*list, error) {
	var t tenantsIndex
	err := c.get(ctx, TenantsName, &t)
	if errors.Is(err, bucket.ErrNotFound) {
		return nil, errNoIndex
	}
	if err != nil {
		return nil, err
	}
	if age := c.cfg.Now().Sub(t.Written); age > c.cfg.ReadIndex {
		return nil, errNoIndex
	}
	next := &list{at: t.Written, tenants: map[string]*blocks{}, damaged: map[string]error{}}
	for _, id := range t.Tenants {
		if err := tenant.Valid(id); err != nil {
			return nil, err
		}
		var metas []*block.Meta
		if err := c.get(ctx, id+"/"+IndexName, &metas); err != nil {
			return nil, err
		}
		for _, m := range metas {
			if m == nil || m.Tenant != id {
				return nil, fmt.Errorf("index of tenant %s lists a block of another", id)
			}
			if err := m.Check(); err != nil {
				return nil, err
			}
		}
		next.tenants[id] = newBlocks(metas)
	}
	return next, nil
}
