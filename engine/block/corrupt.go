package block

import (
	"errors"
	"fmt"

	"github.com/ringctl/ringctl/engine/block/pq"
)

// CorruptError says that the bytes of a block are not what was written: damaged,
// torn, or another program's. Only this block is affected.
type CorruptError struct {
	Tenant, Block string
	Part          string // which object, row group and column
	Err           error
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("block %s of tenant %s is damaged: %s: %v", e.Block, e.Tenant, e.Part, e.Err)
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// fault names the block in an error; faults of the format become CorruptError.
func (b *Block) fault(part string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, pq.ErrDamaged) {
		return &CorruptError{Tenant: b.meta.Tenant, Block: b.meta.ID, Part: part, Err: err}
	}
	return fmt.Errorf("block %s: %s: %w", b.meta.ID, part, err)
}
