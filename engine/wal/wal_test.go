package wal_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ringctl/ringctl/engine/wal"
	"github.com/ringctl/ringctl/engine/wal/waltest"
)

var rewrite = flag.Bool("rewrite", false, "write golden files and what the stories print")

// counter makes markers that are the same in each run.
type counter struct{ n uint32 }

func (c *counter) Read(p []byte) (int, error) {
	c.n++
	for i := range p {
		p[i] = byte(0xa0 + c.n)
	}
	return len(p), nil
}

func open(t testing.TB, fs wal.FS, o wal.Options) *wal.Log {
	t.Helper()
	o.FS = fs
	if o.Rand == nil {
		o.Rand = &counter{}
	}
	l, err := wal.Open("wal", o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func replay(l *wal.Log) (recs []string, info wal.ReplayInfo, err error) {
	info, err = l.Replay(func(rec []byte) error {
		recs = append(recs, string(rec))
		return nil
	})
	return recs, info, err
}

// Power cuts at any moment, full disks and broken fsyncs, by seed: what was
// acknowledged is there, what is there was sent.
func TestAcknowledgedRecordsSurvive(t *testing.T) {
	for seed := range uint64(400) {
		d := &dice{Rand: rand.New(rand.NewPCG(seed, 1)), faults: seed%2 == 1}
		d.run(t, seed)
	}
}

type dice struct {
	*rand.Rand
	faults bool
	serial int
}

func (d *dice) record() []byte {
	d.serial++
	body := strings.Repeat(fmt.Sprint(d.serial, " "), d.IntN(400))
	rec := fmt.Sprintf("%d:%s", d.serial, body)
	if d.IntN(4) == 0 { // incompressible
		noise := make([]byte, d.IntN(3000))
		for i := range noise {
			noise[i] = byte(d.Uint32())
		}
		rec += string(noise)
	}
	return []byte(rec)
}

func (d *dice) run(t *testing.T, seed uint64) {
	disk := waltest.New()
	acked, sent := map[string]bool{}, map[string]bool{}
	for life := range 4 {
		l := open(t, disk, wal.Options{SegmentBytes: int64(1 + d.IntN(20000)), Rand: &counter{uint32(life * 50)}})
		recs, info, err := replay(l)
		var damage *wal.DamageError
		if err != nil && (!errors.As(err, &damage) || !d.faults) {
			t.Fatalf("seed %d life %d: %v", seed, life, err)
		}
		have := map[string]bool{}
		for _, r := range recs {
			if !sent[r] {
				t.Fatalf("seed %d: replayed a record that was never sent: %.40q", seed, r)
			}
			have[r] = true
		}
		for r := range acked {
			if !have[r] {
				t.Fatalf("seed %d life %d: lost an acknowledged record: %.40q\n%s", seed, life, r, info)
			}
		}
		rounds := d.IntN(30)
		for round := range rounds {
			d.fault(disk)
			if round == rounds-1 {
				d.powerOff(disk)
			}
			d.appendSome(l, acked, sent)
			if d.IntN(10) == 0 {
				_, err := l.Rotate()
				must(t, err)
			}
		}
		disk.Fault(nil)
		disk.SetCapacity(-1)
		if d.IntN(3) == 0 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		disk = disk.Crash(d.Rand)
	}
}

func (d *dice) fault(disk *waltest.Disk) {
	disk.Fault(nil)
	disk.SetCapacity(-1)
	if !d.faults {
		return
	}
	switch d.IntN(8) {
	case 0:
		disk.SetCapacity(int64(d.IntN(50000)))
	case 1, 2:
		ops := []waltest.Op{waltest.OpSync, waltest.OpSyncDir, waltest.OpWrite, waltest.OpTruncate, waltest.OpCreate}
		broken, left := ops[d.IntN(len(ops))], 1+d.IntN(3)
		disk.Fault(func(op waltest.Op, _ string) error {
			if op == broken && left > 0 {
				left--
				return waltest.ErrIO
			}
			return nil
		})
	}
}

// powerOff lets a few more operations through and then none: the crash that
// follows finds a group half written.
func (d *dice) powerOff(disk *waltest.Disk) {
	left := d.IntN(6)
	disk.Fault(func(waltest.Op, string) error {
		if left--; left < 0 {
			return waltest.ErrIO
		}
		return nil
	})
}

// appendSome appends a few records, as one group or at once by several callers.
func (d *dice) appendSome(l *wal.Log, acked, sent map[string]bool) {
	recs := make([][]byte, 1+d.IntN(6))
	for i := range recs {
		recs[i] = d.record()
		sent[string(recs[i])] = true
	}
	if d.IntN(2) == 0 {
		if l.AppendGroup(recs) == nil {
			for _, rec := range recs {
				acked[string(rec)] = true
			}
		}
		return
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, rec := range recs {
		wg.Go(func() {
			if l.Append(context.Background(), rec) == nil {
				mu.Lock()
				acked[string(rec)] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// A flipped byte anywhere costs at most the record around it, is never handed
// out as data, and is reported when the record was acknowledged.
func TestEveryFlippedByteIsNoticed(t *testing.T) {
	disk := waltest.New()
	l := open(t, disk, wal.Options{})
	var want []string
	for i := range 6 {
		rec := fmt.Sprintf("record %d %s", i, strings.Repeat("abc", 10*i))
		want = append(want, rec)
		if err := l.Append(context.Background(), []byte(rec)); err != nil {
			t.Fatal(err)
		}
		if i == 3 {
			if _, err := l.Rotate(); err != nil {
				t.Fatal(err)
			}
		}
	}
	names, err := disk.ReadDir("wal")
	if err != nil || len(names) != 2 {
		t.Fatal(names, err)
	}
	for s, name := range names {
		path := filepath.Join("wal", name)
		size := len(disk.Bytes(path))
		for off := range size {
			copy := waltest.New()
			for _, n := range names {
				copy.Put(filepath.Join("wal", n), disk.Bytes(filepath.Join("wal", n)))
			}
			if err := copy.Corrupt(path, off, 0x10); err != nil {
				t.Fatal(err)
			}
			got, info, err := replay(open(t, copy, wal.Options{}))
			if len(got) < len(want)-1 || !subsequence(got, want) {
				t.Fatalf("segment %d byte %d: got %q", s, off, got)
			}
			if err == nil && info.Torn == nil {
				t.Fatalf("segment %d byte %d: not noticed", s, off)
			}
		}
	}
}

func subsequence(got, want []string) bool {
	for _, g := range got {
		for len(want) > 0 && want[0] != g {
			want = want[1:]
		}
		if len(want) == 0 {
			return false
		}
		want = want[1:]
	}
	return true
}

// A record inside the payload of another is not found when its surroundings are
// damaged: it cannot carry the marker of the segment.
func TestPayloadCannotPlantRecords(t *testing.T) {
	inner := waltest.New()
	l := open(t, inner, wal.Options{Raw: true})
	if err := l.Append(context.Background(), []byte("planted")); err != nil {
		t.Fatal(err)
	}
	names, _ := inner.ReadDir("wal")
	planted := inner.Bytes(filepath.Join("wal", names[0]))

	disk := waltest.New()
	l = open(t, disk, wal.Options{Raw: true, Rand: &counter{7}})
	for _, rec := range [][]byte{planted, []byte("honest")} {
		if err := l.Append(context.Background(), rec); err != nil {
			t.Fatal(err)
		}
	}
	names, _ = disk.ReadDir("wal")
	if err := disk.Corrupt(filepath.Join("wal", names[0]), 26, 0xff); err != nil {
		t.Fatal(err)
	}
	got, _, err := replay(open(t, disk, wal.Options{}))
	var damage *wal.DamageError
	if !errors.As(err, &damage) || len(got) != 1 || got[0] != "honest" {
		t.Fatalf("%q %v", got, err)
	}
}

func TestFullDiskRefusesAndRecovers(t *testing.T) {
	disk := waltest.New()
	l := open(t, disk, wal.Options{Raw: true})
	rec := bytes.Repeat([]byte("x"), 1000)
	disk.SetCapacity(3500)
	acked := 0
	for range 6 {
		err := l.Append(context.Background(), rec)
		if err == nil {
			acked++
		} else if !errors.Is(err, wal.ErrFull) || !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	if acked != 3 || l.Stats().Bytes > 3500 {
		t.Fatalf("%d acknowledged, %+v", acked, l.Stats())
	}
	disk.SetCapacity(-1)
	if err := l.Append(context.Background(), rec); err != nil {
		t.Fatalf("space is back: %v", err)
	}
	got, info, err := replay(open(t, disk, wal.Options{}))
	if err != nil || len(got) != 4 || info.Torn != nil {
		t.Fatalf("%d records, %v, %v", len(got), info, err)
	}
}

func TestFailedSyncMovesToNewSegment(t *testing.T) {
	disk := waltest.New()
	l := open(t, disk, wal.Options{})
	must(t, l.Append(context.Background(), []byte("one")))
	once := true
	disk.Fault(func(op waltest.Op, _ string) error {
		if op == waltest.OpSync && once {
			once = false
			return waltest.ErrIO
		}
		return nil
	})
	must(t, l.Append(context.Background(), []byte("two")))
	if s := l.Stats(); s.Segments != 2 {
		t.Fatalf("%+v", s)
	}
	disk.Fault(func(op waltest.Op, _ string) error {
		if op == waltest.OpSync {
			return waltest.ErrIO
		}
		return nil
	})
	err := l.Append(context.Background(), []byte("three"))
	if !errors.Is(err, syscall.EIO) {
		t.Fatalf("both syncs failed, got %v", err)
	}
	disk.Fault(nil)
	must(t, l.Append(context.Background(), []byte("four")))
	got, _, err := replay(open(t, disk, wal.Options{}))
	if err != nil || strings.Join(got, " ") != "one two four" {
		t.Fatalf("%q %v", got, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLimitsAndEndOfLife(t *testing.T) {
	l := open(t, waltest.New(), wal.Options{MaxRecord: 10})
	if err := l.Append(context.Background(), make([]byte, 11)); !errors.Is(err, wal.ErrTooLarge) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Append(ctx, []byte("x")); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	must(t, l.Append(context.Background(), nil))
	must(t, l.Close())
	must(t, l.Close())
	if err := l.Append(context.Background(), []byte("x")); !errors.Is(err, wal.ErrClosed) {
		t.Fatal(err)
	}
	if _, err := l.Rotate(); !errors.Is(err, wal.ErrClosed) {
		t.Fatal(err)
	}
}

// Whoever waits for the disk may give up; the group goes on.
func TestWaitingAppendCanBeCancelled(t *testing.T) {
	disk := waltest.New()
	l := open(t, disk, wal.Options{})
	inSync, release := make(chan struct{}), make(chan struct{})
	once := sync.Once{}
	disk.Fault(func(op waltest.Op, _ string) error {
		if op == waltest.OpSync {
			once.Do(func() { close(inSync); <-release })
		}
		return nil
	})
	results := make(chan error, 2)
	go func() { results <- l.Append(context.Background(), []byte("leads")) }()
	<-inSync
	go func() { results <- l.Append(context.Background(), []byte("leads the next group")) }()
	ctx, cancel := context.WithCancel(context.Background())
	follower := make(chan error)
	go func() { follower <- l.Append(ctx, []byte("follows")) }()
	close(release)
	must(t, <-results)
	must(t, <-results)
	cancel()
	if err := <-follower; err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// The golden file of version 1 is read by every build.
func TestGolden(t *testing.T) {
	const file = "testdata/0000000001-a1a1a1a1.wal"
	want := []string{"", "short", strings.Repeat("compressible ", 30), "last\x00\xff"}
	if *rewrite {
		disk := waltest.New()
		l := open(t, disk, wal.Options{})
		for _, rec := range want {
			must(t, l.Append(context.Background(), []byte(rec)))
		}
		must(t, os.WriteFile(file, disk.Bytes("wal/"+filepath.Base(file)), 0o644))
	}
	b, err := os.ReadFile(file)
	must(t, err)
	disk := waltest.New()
	disk.Put("wal/"+filepath.Base(file), b)
	got, info, err := replay(open(t, disk, wal.Options{}))
	if err != nil || info.Torn != nil || strings.Join(got, "|") != strings.Join(want, "|") {
		t.Fatalf("%q, %v, %v", got, info, err)
	}
}

// A segment of a later version stops the replay instead of losing records.
func TestLaterVersionIsRefused(t *testing.T) {
	b, err := os.ReadFile("testdata/0000000001-a1a1a1a1.wal")
	must(t, err)
	b[7] = 2
	binary.LittleEndian.PutUint32(b[20:], castagnoli(b[:20]))
	disk := waltest.New()
	disk.Put("wal/0000000001-a1a1a1a1.wal", b)
	if _, _, err := replay(open(t, disk, wal.Options{})); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Fatal(err)
	}
}

// On a real folder: append, reopen, rotate, remove.
func TestRealFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	l, err := wal.Open(dir, wal.Options{SegmentBytes: 2000})
	must(t, err)
	for i := range 50 {
		must(t, l.Append(context.Background(), bytes.Repeat([]byte{byte(i)}, 63)))
	}
	seg, err := l.Rotate()
	must(t, err)
	must(t, l.Append(context.Background(), []byte("kept")))
	must(t, l.Close())

	l, err = wal.Open(dir, wal.Options{})
	must(t, err)
	got, info, err := replay(l)
	if err != nil || len(got) != 51 || info.Segments < 3 {
		t.Fatalf("%d records, %v, %v", len(got), info, err)
	}
	must(t, l.RemoveBefore(seg))
	must(t, l.Close())
	l, err = wal.Open(dir, wal.Options{})
	must(t, err)
	defer l.Close()
	if got, _, err = replay(l); err != nil || len(got) != 1 || got[0] != "kept" {
		t.Fatalf("%q %v", got, err)
	}
	if s := l.Stats(); s.Oldest != seg || s.Next != seg+1 {
		t.Fatalf("%+v, want oldest %d", s, seg)
	}
}

// Two logs in one folder would remove each other's segments.
func TestOneLogPerFolder(t *testing.T) {
	dir := t.TempDir()
	l, err := wal.Open(dir, wal.Options{})
	must(t, err)
	must(t, l.Append(context.Background(), []byte("kept")))
	_, err = wal.Open(dir, wal.Options{})
	if !errors.Is(err, wal.ErrHeld) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Fatalf("a second log: %v", err)
	}
	must(t, l.Append(context.Background(), []byte("too")))
	must(t, l.Close())
	l, err = wal.Open(dir, wal.Options{})
	must(t, err)
	defer l.Close()
	if got, _, err := replay(l); err != nil || len(got) != 2 {
		t.Fatalf("%q %v", got, err)
	}
}

func FuzzReplay(f *testing.F) {
	golden, err := os.ReadFile("testdata/0000000001-a1a1a1a1.wal")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden, []byte{})
	f.Add(golden[:len(golden)-3], golden)
	f.Add([]byte{}, []byte("0123456789012345678901234567890123456789"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		disk := waltest.New()
		disk.Put("wal/0000000001-a1a1a1a1.wal", first)
		disk.Put("wal/0000000002-a1a1a1a1.wal", second)
		l := open(t, disk, wal.Options{MaxRecord: 1 << 16, Rand: &counter{9}})
		got, info, err := replay(l)
		if info.Records != len(got) {
			t.Fatalf("%d records, told %d", len(got), info.Records)
		}
		if err != nil {
			return
		}
		must(t, l.Append(context.Background(), []byte("after")))
		again, info, err := replay(open(t, disk, wal.Options{}))
		if err != nil || info.Torn != nil || len(again) != len(got)+1 || again[len(got)] != "after" {
			t.Fatalf("second replay: %d of %d, %v, %v", len(again), len(got)+1, info, err)
		}
	})
}
