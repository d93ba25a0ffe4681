package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Message is one recorded message taken apart, for diagnosis. A member handles most of these messages inside memberlist;
// this is how to look at them from outside.
type Message struct {
	Type   int
	Name   string         // of the type: ping, alive, push_pull, …
	Fields map[string]any // of a msgpack message: int64, uint64, bool, []byte (also for text) or nil
	Inner  *Message       // of has_crc and compress
	Parts  []Message      // of compound
	Nodes  []Node         // of push_pull
	Raw    []byte         // user message, or user state of push_pull
	CRC    uint32         // of has_crc, as it stood in the message
	CRCOK  bool
}

func messageName(t int) string {
	names := [...]string{"ping", "indirect_ping", "ack", "suspect", "alive", "dead", "push_pull", "compound", "user",
		"compress", "encrypt", "nack", "has_crc", "err"}
	if t < len(names) {
		return names[t]
	}
	return fmt.Sprintf("unknown(%d)", t)
}

// maxNesting bounds messages within messages: checksum, compression, compound and the part itself.
const maxNesting = 8

// InspectPacket takes a packet payload apart: the label and the message. Messages larger than limit bytes after
// decompression are refused.
func InspectPacket(payload []byte, limit int) (label string, w Message, err error) {
	if len(payload) > 0 && payload[0] == msgLabel {
		if len(payload) < 2 || len(payload) < 2+int(payload[1]) {
			return "", w, errors.New("broken label header")
		}
		n := 2 + int(payload[1])
		label, payload = string(payload[2:n]), payload[n:]
	}
	w, err = inspect(payload, limit, false, maxNesting)
	return label, w, err
}

// InspectStream takes the bytes of one side of a stream apart, after the transport's type byte.
func InspectStream(b []byte, limit int) (label string, w Message, err error) {
	if len(b) > 0 && b[0] == msgLabel {
		r := bytes.NewReader(b[1:])
		n, err := r.ReadByte()
		if err != nil || int(n) > r.Len() {
			return "", w, errors.New("broken label header")
		}
		label, b = string(b[2:2+int(n)]), b[2+int(n):]
	}
	w, err = inspect(b, limit, true, maxNesting)
	return label, w, err
}

func inspect(b []byte, limit int, stream bool, depth int) (w Message, err error) {
	if len(b) == 0 || depth == 0 {
		return w, errors.New("no message, or too many in one another")
	}
	w.Type, w.Name = int(b[0]), messageName(int(b[0]))
	r := bytes.NewReader(b[1:])
	switch w.Type {
	case msgHasCRC:
		return w, w.inspectCRC(b[1:], limit, depth)
	case msgCompress:
		inner, err := w.inspectCompressed(r, limit)
		if err != nil {
			return w, err
		}
		return w, w.wrap(inner, limit, stream, depth)
	case msgCompound:
		return w, w.inspectCompound(b, limit, depth)
	case MsgUser:
		if !stream {
			w.Raw = b[1:]
			return w, nil
		}
		w.Raw, err = ReadUser(r, limit)
		return w, err
	case MsgPushPull:
		return w, w.inspectPushPull(r, b[1:], limit)
	}
	w.Fields, err = fieldMap(r, limit)
	return w, err
}

func (w *Message) wrap(inner []byte, limit int, stream bool, depth int) error {
	in, err := inspect(inner, limit, stream, depth-1)
	w.Inner = &in
	return err
}

func (w *Message) inspectCRC(b []byte, limit, depth int) error {
	if len(b) < 4 {
		return errors.New("checksum is cut short")
	}
	w.CRC = binary.BigEndian.Uint32(b)
	w.CRCOK = w.CRC == crc32.ChecksumIEEE(b[4:])
	return w.wrap(b[4:], limit, false, depth)
}

func (w *Message) inspectCompressed(r io.Reader, limit int) ([]byte, error) {
	var err error
	if w.Fields, err = fieldMap(r, limit); err != nil {
		return nil, err
	}
	return Decompress(mpInt(w.Fields["Algo"]), mpBytes(w.Fields["Buf"]), limit)
}

func (w *Message) inspectCompound(b []byte, limit, depth int) error {
	if len(b) < 2 || len(b) < 2+2*int(b[1]) {
		return errors.New("compound message is cut short")
	}
	parts, ok := compoundParts(b, int(b[1]))
	if !ok {
		return errors.New("lengths of a compound message do not add up")
	}
	for i, p := range parts {
		part, err := inspect(p, limit, false, depth-1)
		if err != nil {
			return fmt.Errorf("part %d: %w", i, err)
		}
		w.Parts = append(w.Parts, part)
	}
	return nil
}

func (w *Message) inspectPushPull(r io.Reader, b []byte, limit int) (err error) {
	if w.Fields, err = fieldMap(bytes.NewReader(b), maxHeader); err != nil {
		return err
	}
	w.Nodes, w.Raw, err = ReadPushPull(r, limit, nil)
	return err
}

func fieldMap(r io.Reader, limit int) (map[string]any, error) {
	fields := map[string]any{}
	err := (&mpReader{r: r, left: limit + maxHeader}).fields(func(name string, v any) { fields[name] = v })
	return fields, err
}
