package catalog

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/tenant"
)

// The index of a tenant is the object IndexPrefix + tenant + indexSuffix. No
// tenant id holds a "~", so it stands beside the tenants' folders.
const (
	IndexPrefix = "~index/"
	indexSuffix = ".json.gz"
)

// IndexVersion is the format version that this package writes; it reads no other.
const IndexVersion = 1

// Bounds of an index as stored and unpacked: about half a million blocks.
const (
	maxIndex      = 64 << 20
	maxIndexPlain = 512 << 20
)

// Index is the list of a tenant's visible blocks at one moment.
type Index struct {
	Version int    `json:"version"`
	Tenant  string `json:"tenant"`
	// Built is when the bucket was listed, by the writer's clock.
	Built time.Time `json:"built"`
	// Blocks are the visible blocks without Groups and Fields.
	Blocks []*block.Meta `json:"blocks"`
}

// IndexName is the name of a tenant's index object.
func IndexName(tenantID string) string { return IndexPrefix + tenantID + indexSuffix }

// indexTenant is the tenant of an index object.
func indexTenant(name string) (string, bool) {
	rest, ok1 := strings.CutPrefix(name, IndexPrefix)
	t, ok2 := strings.CutSuffix(rest, indexSuffix)
	return t, ok1 && ok2 && tenant.Valid(t) == nil
}

// Encode is the content of the index object.
func (x *Index) Encode() ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("encode index: %w", err)
	}
	if err := errors.Join(json.NewEncoder(z).Encode(x), z.Close()); err != nil {
		return nil, fmt.Errorf("encode index: %w", err)
	}
	return b.Bytes(), nil
}

// ParseIndex reads the content of an index object and checks it.
func ParseIndex(b []byte) (*Index, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("parse index: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(z, maxIndexPlain+1))
	if err == nil && len(plain) > maxIndexPlain {
		err = fmt.Errorf("larger than %d bytes", maxIndexPlain)
	}
	if err != nil {
		return nil, fmt.Errorf("parse index: %w", err)
	}
	x := new(Index)
	if err := json.Unmarshal(plain, x); err != nil {
		return nil, fmt.Errorf("parse index: %w", err)
	}
	if x.Version != IndexVersion {
		return nil, fmt.Errorf("parse index: format version %d, this build reads %d", x.Version, IndexVersion)
	}
	if err := tenant.Valid(x.Tenant); err != nil {
		return nil, fmt.Errorf("parse index: %w", err)
	}
	for i, m := range x.Blocks {
		if m == nil || m.Tenant != x.Tenant || uuid.Validate(m.ID) != nil || m.DataIndex > m.DataBytes {
			return nil, fmt.Errorf("parse index: entry %d is no block of tenant %s", i, x.Tenant)
		}
		light(m)
	}
	return x, nil
}

// ReadIndex fetches the index of a tenant. A missing one wraps bucket.ErrNotFound.
func ReadIndex(ctx context.Context, b bucket.Bucket, tenantID string) (*Index, error) {
	raw, err := bucket.ReadAll(ctx, b, IndexName(tenantID), maxIndex)
	if err != nil {
		return nil, fmt.Errorf("read index of tenant %s: %w", tenantID, err)
	}
	x, err := ParseIndex(raw)
	if err == nil && x.Tenant != tenantID {
		err = fmt.Errorf("it says tenant %s", x.Tenant)
	}
	if err != nil {
		return nil, fmt.Errorf("read index of tenant %s: %w", tenantID, err)
	}
	return x, nil
}

// RemoveIndex removes the index of a tenant that has no blocks any more.
func RemoveIndex(ctx context.Context, b bucket.Bucket, tenantID string) error {
	if err := b.Delete(ctx, IndexName(tenantID)); err != nil {
		return fmt.Errorf("remove index of tenant %s: %w", tenantID, err)
	}
	return nil
}

// WriteIndex stores the index of a tenant: its visible blocks when the bucket was
// listed.
func WriteIndex(ctx context.Context, b bucket.Bucket, tenantID string, built time.Time, blocks []*block.Meta) error {
	x := &Index{Version: IndexVersion, Tenant: tenantID, Built: built.UTC(), Blocks: slices.Clone(blocks)}
	for i, m := range x.Blocks {
		c := *m
		x.Blocks[i] = light(&c)
	}
	raw, err := x.Encode()
	if err == nil {
		err = b.Put(ctx, IndexName(tenantID), bytes.NewReader(raw), int64(len(raw)))
	}
	if err != nil {
		return fmt.Errorf("write index of tenant %s: %w", tenantID, err)
	}
	return nil
}
