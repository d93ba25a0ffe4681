package compactor

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/bucket"
	"github.com/ringctl/ringctl/engine/bucket/local"
)

// Env is what a job runs in.
type Env struct {
	Bucket bucket.Bucket
	// Scratch is a local folder for the inputs of a remote bucket and for the
	// result.
	Scratch string
	// Remote says that the bucket is object storage: inputs are fetched whole
	// before they are merged.
	Remote bool
	// Writer options; the default is zstd level 3 with bloom filters.
	Writer block.WriterOptions
	Now    func() time.Time
}

// Execute does one job. A merge returns the metadata of the new block, a deletion
// nil. A job may be repeated after any error or crash. An input that is gone is an
// error that wraps bucket.ErrNotFound, a damaged one a *block.CorruptError.
func Execute(ctx context.Context, job Job, env Env) (*block.Meta, error) {
	if job.Kind == Delete {
		for _, id := range job.Inputs {
			if err := block.Delete(ctx, env.Bucket, job.Tenant, id); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
	if env.Now == nil {
		env.Now = time.Now
	}
	if env.Writer == (block.WriterOptions{}) {
		env.Writer = block.WriterOptions{Level: 3, Blooms: true}
	}
	id, err := OutputID(job)
	if err != nil {
		return nil, err
	}
	if m, err := block.ReadMeta(ctx, env.Bucket, job.Tenant, id); err == nil {
		return m, nil // done before
	} else if !errors.Is(err, bucket.ErrNotFound) {
		return nil, err
	}
	dir := filepath.Join(env.Scratch, "merge-"+id)
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("clear scratch folder: %w", err)
	}
	m, err := merge(ctx, job, env, id, dir)
	return m, errors.Join(err, os.RemoveAll(dir))
}

func merge(ctx context.Context, job Job, env Env, id block.ID, dir string) (*block.Meta, error) {
	inputs, err := open(ctx, job, env, filepath.Join(dir, "in"))
	if err != nil {
		return nil, err
	}
	w, err := block.NewWriter(env.Writer)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	out := filepath.Join(dir, "out", id)
	m, err := w.Merge(ctx, out, inputs, block.MergeOptions{Tenant: job.Tenant, ID: id, Created: env.Now()})
	if err != nil {
		return nil, err
	}
	if err := block.Upload(ctx, env.Bucket, out, m); err != nil {
		return nil, err
	}
	return m, nil
}

// mergeCache is small: a merge reads everything once.
const mergeCache = 1 << 20

// open opens the inputs, after fetching them when the bucket is remote.
func open(ctx context.Context, job Job, env Env, dir string) ([]*block.Block, error) {
	from := env.Bucket
	if env.Remote {
		near, err := local.Open(dir)
		if err != nil {
			return nil, err
		}
		for _, id := range job.Inputs {
			if err := block.Download(ctx, env.Bucket, job.Tenant, id, filepath.Join(dir, job.Tenant, id)); err != nil {
				return nil, err
			}
		}
		from = near
	}
	cache := block.NewCache(mergeCache)
	var out []*block.Block
	for _, id := range job.Inputs {
		b, err := block.Open(ctx, from, job.Tenant, id, block.OpenOptions{Cache: cache})
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// OutputID is the id of the block that a merge makes: the time of the newest
// input, and a hash of all inputs.
func OutputID(job Job) (block.ID, error) {
	inputs := slices.Sorted(slices.Values(job.Inputs))
	if len(inputs) == 0 {
		return "", errors.New("merge job without inputs")
	}
	newest, err := uuid.Parse(inputs[len(inputs)-1])
	if err != nil {
		return "", fmt.Errorf("merge job: block id %q: %w", inputs[len(inputs)-1], err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", job.Tenant)
	for _, id := range inputs {
		fmt.Fprintf(h, "%s\n", id)
	}
	sum := h.Sum(nil)
	copy(newest[6:], sum)
	newest[6] = newest[6]&0x0f | 0x70
	newest[8] = newest[8]&0x3f | 0x80
	return newest.String(), nil
}
