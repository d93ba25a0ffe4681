package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/s2"
)

// ReplayInfo tells what Replay found.
type ReplayInfo struct {
	Segments int
	Records  int
	Bytes    int64 // of the records, uncompressed
	// Torn is the tail that a crash cut off, nil when there was none. It holds
	// no acknowledged record.
	Torn *Torn
	// Damage lists the places outside the tail that could not be read.
	Damage []Damage
}

// String is one line for the log.
func (i ReplayInfo) String() string {
	s := fmt.Sprintf("replayed %d records (%d bytes) from %d segments", i.Records, i.Bytes, i.Segments)
	if i.Torn != nil {
		s += "; " + i.Torn.String()
	}
	for _, d := range i.Damage {
		s += "; " + d.String()
	}
	return s
}

// Torn is the unfinished end of the last segment.
type Torn struct {
	Segment uint64
	Offset  int64 // where the last good record ends
	Bytes   int64
	// KeptAs is the file that holds a copy of the cut bytes. It is empty when
	// they could not be copied; then they were not cut either, and Err says why.
	KeptAs string
	Err    error
}

// String is one line for the log.
func (t Torn) String() string {
	if t.Err != nil {
		return fmt.Sprintf("segment %d has an unfinished tail of %d bytes at offset %d, left in place: %v", t.Segment, t.Bytes, t.Offset, t.Err)
	}
	return fmt.Sprintf("cut an unfinished tail of %d bytes from segment %d at offset %d, kept as %s", t.Bytes, t.Segment, t.Offset, t.KeptAs)
}

// Damage is a stretch of a segment that could not be read.
type Damage struct {
	Segment uint64
	Offset  int64
	Bytes   int64
	Reason  string
}

// String is one line for the log.
func (d Damage) String() string {
	return fmt.Sprintf("segment %d is damaged at offset %d, %d bytes lost: %s", d.Segment, d.Offset, d.Bytes, d.Reason)
}

// DamageError is returned by Replay, after all that can be read was handed out,
// when acknowledged records may have been lost.
type DamageError struct {
	Dir    string
	Damage []Damage
}

// Error implements error.
func (e *DamageError) Error() string {
	lines := make([]string, len(e.Damage))
	for i, d := range e.Damage {
		lines[i] = d.String()
	}
	return fmt.Sprintf("wal %s: %s", e.Dir, strings.Join(lines, "; "))
}

// Replay calls f for each record that was in the folder at Open, oldest segment
// first. rec is valid until f returns; an error of f stops the replay and is
// returned. When records may be lost the error is a [*DamageError], and
// everything readable has been handed out.
func (l *Log) Replay(f func(rec []byte) error) (ReplayInfo, error) {
	var info ReplayInfo
	r := replayer{log: l, info: &info, each: f}
	for i, id := range l.left {
		info.Segments++
		if err := r.segment(id, i == len(l.left)-1); err != nil {
			return info, err
		}
	}
	if len(info.Damage) > 0 {
		return info, &DamageError{Dir: l.dir, Damage: info.Damage}
	}
	return info, nil
}

type replayer struct {
	log  *Log
	info *ReplayInfo
	each func([]byte) error
	win  window
	out  []byte
}

// segment replays one file. Damage in it goes to info; the error is that of the
// callback or of opening the file.
func (r *replayer) segment(id segmentID, last bool) error {
	path := r.log.path(id.name())
	file, err := r.log.opt.FS.Open(path)
	if err != nil {
		return explain("open", path, err)
	}
	defer file.Close() //nolint:errcheck // only read
	size, err := file.Size()
	if err != nil {
		return explain("size of", path, err)
	}
	if size == 0 {
		return nil // made just before a crash, or cut to nothing after one
	}
	r.win.reset(file, size)
	end, reason, err := r.records(id, last)
	if err != nil || reason == "" {
		return err
	}
	if last {
		r.info.Torn = r.cut(file, id, end, size)
		return nil
	}
	r.damaged(id, end, size, reason)
	return nil
}

func (r *replayer) damaged(id segmentID, from, to int64, reason string) {
	r.info.Damage = append(r.info.Damage, Damage{Segment: id.num, Offset: from, Bytes: to - from, Reason: reason})
}

// records hands out the records of the segment in the window. It returns where
// the last good one ends and, when bytes follow that hold none, why they are no
// record.
func (r *replayer) records(id segmentID, last bool) (end int64, reason string, err error) {
	w := &r.win
	head := w.peek(headerSize)
	if bad := id.checkHeader(head); bad != nil {
		if errors.Is(bad, errVersion) {
			return 0, "", fmt.Errorf("wal: %s: %w", id.name(), bad)
		}
		reason = bad.Error()
	} else {
		w.skip(headerSize)
		end = headerSize
	}
	for {
		if reason == "" && w.at() == w.size {
			return end, "", nil
		}
		if reason == "" {
			if reason, err = r.record(id); err != nil {
				return end, "", err
			}
		}
		if reason == "" {
			end = w.at()
			continue
		}
		reason = w.explain(reason)
		if !r.resync(id) || last && r.unfinished(id) {
			return end, reason, nil
		}
		r.damaged(id, end, w.at(), reason)
		end, reason = w.at(), ""
	}
}

// unfinished reports whether everything from the record at the window on
// belongs to the group that was being written: no further group begins. A crash
// may leave any part of such a group, in any order, and none of it was
// acknowledged. The window stays where it is.
func (r *replayer) unfinished(id segmentID) bool {
	w := &r.win
	back := w.at()
	defer func() { w.seek(back) }()
	for {
		_, h, reason := r.verified(id)
		switch {
		case reason == "" && h.flags&flagFirst != 0:
			return false
		case reason == "":
			w.skip(recordSize + int(h.length))
		case !r.resync(id):
			return true
		}
	}
}

// record hands out the record at the start of the window and passes over it, or
// says why there is none and stays.
func (r *replayer) record(id segmentID) (reason string, err error) {
	w := &r.win
	stored, h, reason := r.verified(id)
	if reason != "" {
		return reason, nil
	}
	rec := stored
	if h.flags&flagS2 != 0 {
		n, derr := s2.DecodedLen(stored)
		if derr != nil || n > r.log.opt.MaxRecord {
			return "compressed record is larger than the limit", nil
		}
		if rec, derr = s2.Decode(r.out[:cap(r.out)], stored); derr != nil {
			return "record does not decompress", nil
		}
		r.out = rec
	}
	r.info.Records++
	r.info.Bytes += int64(len(rec))
	if err := r.each(rec); err != nil {
		return "", err
	}
	w.skip(recordSize + int(h.length))
	return "", nil
}

// verified returns the stored payload of the record at the start of the window
// when its header and checksum are right.
func (r *replayer) verified(id segmentID) (stored []byte, h recordHead, reason string) {
	w := &r.win
	head := w.peek(recordSize)
	if len(head) < recordSize {
		return nil, h, "record header is cut off"
	}
	h, ok := id.parseHead(head, s2.MaxEncodedLen(r.log.opt.MaxRecord))
	if !ok {
		return nil, h, "no record header"
	}
	if int64(h.length) > w.size-w.at()-recordSize {
		return nil, h, "record is cut off"
	}
	body := w.peek(recordSize + int(h.length))
	if len(body) < recordSize+int(h.length) {
		return nil, h, "record is cut off"
	}
	stored = body[recordSize:]
	if !id.matches(h, stored) {
		return nil, h, "checksum of record is wrong"
	}
	return stored, h, ""
}

// resync moves the window to the next place where a whole record begins.
func (r *replayer) resync(id segmentID) bool {
	w := &r.win
	for w.at() < w.size {
		w.skip(1)
		for {
			b := w.peek(windowStep)
			if i := bytes.Index(b, id.marker[:]); i >= 0 {
				w.skip(i)
				break
			}
			if len(b) < windowStep {
				w.skip(len(b))
				return false
			}
			w.skip(len(b) - markerSize + 1)
		}
		if _, _, reason := r.verified(id); reason == "" {
			return true
		}
	}
	return false
}

// keptTorn is how many cut-off tails stay in the folder.
const keptTorn = 4

// cut keeps the tail of the last segment aside and truncates the file.
func (r *replayer) cut(file File, id segmentID, end, size int64) *Torn {
	t := &Torn{Segment: id.num, Offset: end, Bytes: size - end}
	name := fmt.Sprintf("%s.%d%s", strings.TrimSuffix(id.name(), suffix), end, tornSuffix)
	if t.Err = r.keep(file, name, end, size); t.Err != nil {
		return t
	}
	t.KeptAs = name
	if err := file.Truncate(end); err != nil {
		t.Err = explain("truncate", id.name(), err)
		return t
	}
	if err := file.Sync(); err != nil {
		t.Err = explain("sync", id.name(), err)
		return t
	}
	r.log.resized(id, end)
	return t
}

// keep copies the bytes from..to of file into a new file, and removes old ones
// of its kind. An existing file of that name is from an earlier replay that
// could not truncate; it holds the same bytes.
func (r *replayer) keep(file File, name string, from, to int64) error {
	fs := r.log.opt.FS
	names, err := fs.ReadDir(r.log.dir)
	if err != nil {
		return explain("list", r.log.dir, err)
	}
	if slices.Contains(names, name) {
		return nil
	}
	out, err := fs.Create(r.log.path(name))
	if err != nil {
		return explain("create", name, err)
	}
	_, err = io.Copy(io.NewOffsetWriter(out, 0), io.NewSectionReader(file, from, to-from))
	if err == nil {
		err = out.Sync()
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = fs.Remove(r.log.path(name))
		return explain("keep the tail as", name, err)
	}
	torn := slices.DeleteFunc(names, func(n string) bool { return filepath.Ext(n) != tornSuffix })
	slices.Sort(torn)
	for len(torn) >= keptTorn {
		_ = fs.Remove(r.log.path(torn[0]))
		torn = torn[1:]
	}
	return explain("sync folder", r.log.dir, fs.SyncDir(r.log.dir))
}

// resized notes the new size of a segment after its tail was cut.
func (l *Log) resized(id segmentID, size int64) {
	l.flush.Lock()
	defer l.flush.Unlock()
	for i := range l.segments {
		if l.segments[i].id == id {
			l.segments[i].size = size
		}
	}
}
