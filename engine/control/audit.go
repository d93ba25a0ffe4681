package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/ringctl/ringctl/engine/ringapi"
)

// auditor writes one line per attempted change to the log and to a file (JSON Lines).
type auditor struct {
	log  *slog.Logger
	path string
	mu   sync.Mutex // one line at a time
}

// write records an attempt. The file is opened for each line, so that it can be moved away by a rotation.
func (a *auditor) write(ctx context.Context, rec ringapi.Audit) error {
	level, msg := slog.LevelInfo, "ring changed over HTTP"
	if rec.Error != "" {
		level, msg = slog.LevelWarn, "ring change over HTTP refused"
	}
	a.log.Log(ctx, level, msg, "action", rec.Action, "ring", rec.Ring, "subject", rec.Subject,
		"actor", rec.Actor, "remote", rec.Remote, "reason", rec.Reason, "before", rec.Before, "after", rec.After, "err", rec.Error)
	if a.path == "" {
		return nil
	}
	b, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return a.append(append(b, '\n'))
}

// check tells whether the file can be written. A change that cannot be recorded is not made.
func (a *auditor) check() error {
	if a.path == "" {
		return nil
	}
	return a.append(nil)
}

func (a *auditor) append(line []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, err := os.OpenFile(a.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	_, err = f.Write(line)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	return nil
}
