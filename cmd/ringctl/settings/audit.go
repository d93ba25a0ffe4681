package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Entry is one line of the audit log: one entry of a ring that was written.
type Entry struct {
	At      time.Time `json:"at"`
	User    string    `json:"user"`
	Host    string    `json:"host"`
	Context string    `json:"context,omitempty"`
	Command string    `json:"command"`
	Reason  string    `json:"reason,omitempty"`
	Action  string    `json:"action"`
	Ring    string    `json:"ring"`
	ID      string    `json:"id"`
	Before  string    `json:"before"`
	After   string    `json:"after"`
	Forced  bool      `json:"forced,omitempty"`
	// Outcome is "sent" before anything else is known, then "converged" or what went wrong.
	Outcome string `json:"outcome"`
}

// AuditPath is the path of the audit log.
func (d Dirs) AuditPath() string { return filepath.Join(d.State, "audit.jsonl") }

// Audit appends entries to the audit log and syncs it.
func (d Dirs) Audit(entries ...Entry) error {
	if err := os.MkdirAll(d.State, 0o700); err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	f, err := os.OpenFile(d.AuditPath(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	var out []byte
	for _, e := range entries {
		line, err := json.Marshal(e)
		if err != nil {
			return errors.Join(fmt.Errorf("audit log: %w", err), f.Close())
		}
		out = append(append(out, line...), '\n')
	}
	_, err = f.Write(out)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	return nil
}
