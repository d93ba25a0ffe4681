package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ringctl/ringctl/engine/partition"
	"github.com/ringctl/ringctl/engine/ring"
)

// codecCase is a case of codec_ring or codec_partition_ring.
type codecCase struct {
	Kind       string          `json:"kind"`
	ExactBytes bool            `json:"exact_bytes"`
	Proto      *[]byte         `json:"proto_b64"`
	Value      *[]byte         `json:"value_b64"`
	Content    json.RawMessage `json:"content"`
}

// codec is what the two wire codecs have in common. D is the decoded value, J
// its JSON form.
type codec[D, J any] struct {
	unmarshal func([]byte) (D, error)
	decode    func([]byte) (D, error)
	marshal   func(D) []byte
	encode    func(D) []byte
	desc      func(J) (D, error)
	same      func(J, D) error
}

func checkCodecRing(c json.RawMessage) error {
	return checkCodec(c, codec[*ring.Desc, ringJSON]{
		unmarshal: ring.Unmarshal, decode: ring.DecodeValue, encode: ring.EncodeValue,
		marshal: func(d *ring.Desc) []byte { b, _ := d.MarshalBinary(); return b },
		desc:    ringJSON.desc, same: sameRing,
	})
}

func checkCodecPartitionRing(c json.RawMessage) error {
	return checkCodec(c, codec[*partition.Desc, partitionRingJSON]{
		unmarshal: partition.Unmarshal, decode: partition.DecodeValue, encode: partition.EncodeValue,
		marshal: func(d *partition.Desc) []byte { b, _ := d.MarshalBinary(); return b },
		desc:    partitionRingJSON.desc, same: samePartitionRing,
	})
}

func checkCodec[D, J any](raw json.RawMessage, k codec[D, J]) error {
	var c codecCase
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	if c.Proto == nil && c.Value == nil {
		return errors.New("case has no bytes")
	}
	if c.Kind == "invalid" {
		return k.checkInvalid(c)
	}
	var want J
	if err := json.Unmarshal(c.Content, &want); err != nil {
		return err
	}
	if err := k.checkBytes(c, want); err != nil {
		return err
	}
	if c.Kind != "roundtrip" {
		return nil
	}
	d, err := k.desc(want)
	if err != nil {
		return err
	}
	return k.checkRoundtrip(c, want, d)
}

func (k codec[D, J]) checkInvalid(c codecCase) error {
	if c.Proto != nil {
		if _, err := k.unmarshal(*c.Proto); err == nil {
			return errors.New("broken protobuf was accepted")
		}
	}
	if c.Value != nil {
		if _, err := k.decode(*c.Value); err == nil {
			return errors.New("broken value was accepted")
		}
	}
	return nil
}

func (k codec[D, J]) checkBytes(c codecCase, want J) error {
	if c.Proto != nil {
		d, err := k.unmarshal(*c.Proto)
		if err == nil {
			err = k.same(want, d)
		}
		if err != nil {
			return fmt.Errorf("protobuf: %w", err)
		}
		again, err := k.unmarshal(k.marshal(d))
		if err == nil {
			err = k.same(want, again)
		}
		if err != nil {
			return fmt.Errorf("decoded and encoded again: %w", err)
		}
	}
	if c.Value != nil {
		d, err := k.decode(*c.Value)
		if err == nil {
			err = k.same(want, d)
		}
		if err != nil {
			return fmt.Errorf("value: %w", err)
		}
	}
	return nil
}

func (k codec[D, J]) checkRoundtrip(c codecCase, want J, d D) error {
	b := k.marshal(d)
	got, err := k.unmarshal(b)
	if err == nil {
		err = k.same(want, got)
	}
	if err != nil {
		return fmt.Errorf("own protobuf: %w", err)
	}
	got, err = k.decode(k.encode(d))
	if err == nil {
		err = k.same(want, got)
	}
	if err != nil {
		return fmt.Errorf("own value: %w", err)
	}
	if c.ExactBytes && c.Proto != nil && !bytes.Equal(b, *c.Proto) {
		return fmt.Errorf("encoded to %x, want %x", b, *c.Proto)
	}
	return nil
}
