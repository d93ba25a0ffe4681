package recent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"testing"
	"time"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/wal"
	"github.com/ringctl/ringctl/engine/wal/waltest"
)

// The log of a day with a full disk: once that spans are refused, once that they are taken, and each block.
func TestLogOfAFullDisk(t *testing.T) {
	var out bytes.Buffer
	disk, now := waltest.New(), time.Unix(1_700_000_000, 0)
	s, err := Open(Config{Dir: t.TempDir(), MaxAge: time.Minute, Now: func() time.Time { return now }, WAL: wal.Options{FS: disk},
		Ship: func(context.Context, string, string, *block.Meta) error { return nil }}, slog.New(slog.NewTextHandler(&out, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	g := newGen(1)
	push := func(want error) {
		t.Helper()
		if err := s.Push(t.Context(), "a", g.otlp(9)); !errors.Is(err, want) {
			t.Fatal(err)
		}
	}
	push(nil)
	disk.SetCapacity(1)
	push(wal.ErrFull)
	push(wal.ErrFull)
	disk.SetCapacity(-1)
	push(nil)
	push(nil)
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^\S+ level=ERROR msg="recent spans: the log cannot be written, spans are refused" err=.*no space left.*
\S+ level=INFO msg="recent spans: the log can be written again, spans are taken"
\S+ level=INFO msg="shipped block" tenant=a block=\S+ spans=\d+ bytes=\d+ took=0s
$`)
	text, err := io.ReadAll(&out)
	if err != nil || !want.Match(text) {
		t.Errorf("the log is\n%s", text)
	}
}
