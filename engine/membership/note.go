package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// NoteKind says what happened.
type NoteKind int8

// The kinds of notes, of instances and of partitions.
const (
	NoteFound         NoteKind = iota // our entry was there at the start
	NotePhase                         // we entered a state
	NoteConflict                      // tokens were lost to another instance while observing; others taken
	NoteTokensChanged                 // the ring lists other tokens for us than before
	NoteReadOnly                      // read-only was set or cleared
	NoteReAdded                       // our entry was missing and was written again
	NoteStolen                        // somebody else writes under our id
	NoteClockBehind                   // our clock is behind our own entry
	NoteUnregistered                  // our entry was removed
	NoteKept                          // our entry stays behind
	NoteForgot                        // a silent member was forgotten
	NoteForgetHeld                    // silent members were spared
	NoteCreated                       // our partition was created
	NoteOwned                         // we registered as owner
	NoteOwnerReAdded                  // we had vanished from the owners and registered again
	NotePromoted                      // our partition became active
	NoteDeleted                       // an abandoned partition was deleted
	NoteOwnerRemoved                  // we took ourselves off our partition
	NotePartitionLost                 // our partition is missing and we do not create it
	NoteOwnerForgot                   // an owner without an instance was removed
	NoteChanged                       // our partition's state or lock was changed by others
)

var noteWords = [...]struct {
	text  string
	level slog.Level
}{
	NoteFound:         {"found own entry", slog.LevelInfo},
	NotePhase:         {"entered state", slog.LevelInfo},
	NoteConflict:      {"token conflict repaired", slog.LevelWarn},
	NoteTokensChanged: {"tokens changed by another member", slog.LevelWarn},
	NoteReadOnly:      {"read-only changed", slog.LevelInfo},
	NoteReAdded:       {"own entry was missing, added again", slog.LevelWarn},
	NoteStolen:        {"another process writes under this id", slog.LevelError},
	NoteClockBehind:   {"clock is behind own entry", slog.LevelWarn},
	NoteUnregistered:  {"unregistered", slog.LevelInfo},
	NoteKept:          {"entry left behind", slog.LevelInfo},
	NoteForgot:        {"forgot silent member", slog.LevelWarn},
	NoteForgetHeld:    {"silent members spared", slog.LevelWarn},
	NoteCreated:       {"partition created", slog.LevelInfo},
	NoteOwned:         {"partition owned", slog.LevelInfo},
	NoteOwnerReAdded:  {"own ownership was missing, added again", slog.LevelWarn},
	NotePromoted:      {"partition promoted", slog.LevelInfo},
	NoteDeleted:       {"abandoned partition deleted", slog.LevelWarn},
	NoteOwnerRemoved:  {"ownership removed", slog.LevelInfo},
	NotePartitionLost: {"own partition is missing", slog.LevelError},
	NoteOwnerForgot:   {"forgot owner without instance", slog.LevelWarn},
	NoteChanged:       {"partition changed", slog.LevelInfo},
}

// Note is one thing that happened in a lifecycle. Subject is the instance, owner or partition.
type Note struct {
	Kind    NoteKind
	Subject string
	// Args are keys and values as slog takes them.
	Args []any
}

func newNote(kind NoteKind, subject string, args ...any) Note {
	return Note{Kind: kind, Subject: subject, Args: args}
}

// String is the note in one line.
func (n Note) String() string {
	var b strings.Builder
	b.WriteString(noteWords[n.Kind].text + ": " + n.Subject)
	for i := 0; i+1 < len(n.Args); i += 2 {
		fmt.Fprintf(&b, " %v=%v", n.Args[i], n.Args[i+1])
	}
	return b.String()
}

func (n Note) log(ctx context.Context, log *slog.Logger) {
	log.Log(ctx, noteWords[n.Kind].level, noteWords[n.Kind].text, append([]any{"subject", n.Subject}, n.Args...)...)
}

// errNotRegistered is the answer to a change of an instance that is not in the ring.
var errNotRegistered = errors.New("the instance is not registered")

// FutureEntryError refuses a start: our own id stands in the ring with a heartbeat that lies in the
// future. Every member prefers that entry to whatever this process writes until the time has come.
type FutureEntryError struct {
	Ring, ID       string
	Heartbeat, Now time.Time
}

// Error names the entry and the cures.
func (e *FutureEntryError) Error() string {
	return fmt.Sprintf("ring %q holds an entry for %q whose heartbeat %s is %s ahead of this clock (%s): "+
		"no member would accept a newer one until then. Check the clock; otherwise start under another instance id, "+
		"or stop all members of the ring at once to clear it (ringctl repair %s shows the choices)",
		e.Ring, e.ID, e.Heartbeat.Format(time.RFC3339), e.Heartbeat.Sub(e.Now).Truncate(time.Second),
		e.Now.Format(time.RFC3339), e.Ring)
}
