package block

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ringctl/ringctl/engine/bucket"
)

// Upload copies a block from its local folder into a bucket: meta.json last, so
// that the block appears whole. It may be repeated.
func Upload(ctx context.Context, b bucket.Bucket, dir string, m *Meta) error {
	for _, name := range []string{DataName, ResourcesName, MetaName} {
		if err := uploadOne(ctx, b, filepath.Join(dir, name), Path(m.Tenant, m.ID)+name); err != nil {
			return fmt.Errorf("upload block %s: %w", m.ID, err)
		}
	}
	return nil
}

func uploadOne(ctx context.Context, b bucket.Bucket, path, name string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return b.Put(ctx, name, f, st.Size())
}

// Download copies a block out of a bucket into a new local folder.
func Download(ctx context.Context, b bucket.Bucket, tenantID string, id ID, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("download block %s: %w", id, err)
	}
	for _, name := range []string{DataName, ResourcesName, MetaName} {
		if err := downloadOne(ctx, b, Path(tenantID, id)+name, filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("download block %s: %w", id, err)
		}
	}
	return nil
}

func downloadOne(ctx context.Context, b bucket.Bucket, name, path string) error {
	r, err := b.Get(ctx, name)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err = f.ReadFrom(r); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// Delete removes a block from a bucket: meta.json first, so that it disappears
// whole.
func Delete(ctx context.Context, b bucket.Bucket, tenantID string, id ID) error {
	for _, name := range []string{MetaName, ResourcesName, DataName} {
		if err := b.Delete(ctx, Path(tenantID, id)+name); err != nil {
			return fmt.Errorf("delete block %s: %w", id, err)
		}
	}
	return nil
}
