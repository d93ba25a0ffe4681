package recent

import (
	"encoding/binary"
	"errors"

	"github.com/ringctl/ringctl/engine/block"
	"github.com/ringctl/ringctl/engine/trace"
)

// Records of the log: a kind, the tenant with its length, and
//
//	push  OTLP bytes
//	cut   the block's id with its length, then 16 bytes for each trace held back
const (
	recordPush = 1
	recordCut  = 2
)

var errRecord = errors.New("log record of unknown form")

func appendPush(dst []byte, tenantID string, otlp []byte) []byte {
	dst = appendString(append(dst, recordPush), tenantID)
	return append(dst, otlp...)
}

func appendCut(dst []byte, tenantID string, id block.ID, held []trace.ID) []byte {
	dst = appendString(append(dst, recordCut), tenantID)
	dst = appendString(dst, id)
	for i := range held {
		dst = append(dst, held[i][:]...)
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// record is a parsed record; its slices alias the input.
type record struct {
	kind   byte
	tenant string
	otlp   []byte
	id     block.ID
	held   []trace.ID
}

func parseRecord(b []byte) (r record, err error) {
	if len(b) == 0 || b[0] != recordPush && b[0] != recordCut {
		return r, errRecord
	}
	r.kind = b[0]
	var ok bool
	if r.tenant, b, ok = cutString(b[1:]); !ok {
		return r, errRecord
	}
	if r.kind == recordPush {
		r.otlp = b
		return r, nil
	}
	if r.id, b, ok = cutString(b); !ok || len(b)%16 != 0 {
		return r, errRecord
	}
	for ; len(b) > 0; b = b[16:] {
		r.held = append(r.held, trace.ID(b[:16]))
	}
	return r, nil
}

func cutString(b []byte) (string, []byte, bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return "", nil, false
	}
	return string(b[k : k+int(n)]), b[k+int(n):], true
}
