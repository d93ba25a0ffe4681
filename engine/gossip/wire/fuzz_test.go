package wire

import (
	"bytes"
	"reflect"
	"testing"
)

func fuzzPair() []byte {
	b, _ := Pair{Key: "k", Value: []byte("v"), Codec: "c", Deleted: true, UpdateTimeMillis: 5}.MarshalBinary()
	return b
}

func FuzzPair(f *testing.F) {
	f.Add([]byte{})
	f.Add(fuzzPair())
	f.Add([]byte("\x0a\x01k\x12\x00\x78\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, again Pair
		if p.UnmarshalBinary(b) != nil {
			return
		}
		out, err := p.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if err := again.UnmarshalBinary(out); err != nil {
			t.Fatalf("own encoding: %v", err)
		}
		if len(p.Value) == 0 {
			p.Value = nil
		}
		if !reflect.DeepEqual(p, again) {
			t.Fatalf("%+v became %+v", p, again)
		}
	})
}

func FuzzState(f *testing.F) {
	f.Add([]byte{})
	f.Add(AppendState(nil, Pair{Key: "a"}, Pair{Key: "b", Value: []byte("v")}))
	f.Add([]byte{0, 0, 0, 9, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		pairs, _ := DecodeState(b)
		again, err := DecodeState(AppendState(nil, pairs...))
		if err != nil || len(again) != len(pairs) {
			t.Fatalf("%d pairs became %d: %v", len(pairs), len(again), err)
		}
	})
}

func FuzzMeta(f *testing.F) {
	f.Add([]byte("\x01\x02\x01z"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := ParseMeta(b)
		out, err := AppendMeta(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		if ParseMeta(out) != m {
			t.Fatalf("%+v became %+v", m, ParseMeta(out))
		}
	})
}

func FuzzPacket(f *testing.F) {
	for _, algorithm := range []string{"", CompressionLZW, CompressionSnappy} {
		msg := compound([][]byte{{MsgUser, 1}, append([]byte{MsgUser}, bytes.Repeat([]byte("a"), 100)...)})
		for _, p := range Outgoing(msg, "l", algorithm) {
			f.Add(AppendFrame(nil, Packet{From: "1.2.3.4:5", Payload: p})[1:])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseFrame(b)
		if err != nil {
			p.Payload = b // the checksum would hide everything behind it
		}
		s := Sieve{Labels: []string{"", "l"}, Limit: 1 << 16}
		msg, err := s.Packet(p.Payload)
		if err == nil && len(msg) > max(1<<16, len(b)) {
			t.Fatalf("%d bytes came out", len(msg))
		}
		total := 0
		for _, m := range mend(p.Payload) {
			total += len(m)
		}
		if total < len(p.Payload) {
			t.Fatalf("mending lost %d bytes", len(p.Payload)-total)
		}
		taken := 0
		for _, rest := range TakeUser(p.Payload, func(b []byte) { taken += 1 + len(b) }) {
			taken += len(rest)
		}
		if taken > len(p.Payload) {
			t.Fatalf("%d of %d bytes were taken", taken, len(p.Payload))
		}
		_, _, _ = InspectPacket(p.Payload, 1<<16)
	})
}

func FuzzStream(f *testing.F) {
	f.Add(AppendPull(nil))
	f.Add(append(AppendLabel(nil, "l"), AppendUser(nil, fuzzPair())...))
	f.Add(Compress(CompressionSnappy, bytes.Repeat(AppendPull(nil), 30)))
	f.Add([]byte("\x06\x83\xa5Nodes\x01\xacUserStateLen\x00\xa4Join\xc2\x82\xa4Name\xa1n\xa4Addr\xa4\x7f\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Sieve{AnyLabel: true, Limit: 1 << 16}.Stream(bytes.NewReader(b), true)
		if err != nil {
			return
		}
		kind := make([]byte, 1)
		if n, _ := r.Read(kind); n == 0 {
			return
		}
		switch kind[0] {
		case MsgPushPull:
			_, state, err := ReadPushPull(r, 1<<16, nil)
			if err == nil && len(state) > 1<<16 {
				t.Fatalf("%d bytes of state", len(state))
			}
		case MsgUser:
			if msg, err := ReadUser(r, 1<<16); err == nil && len(msg) > 1<<16 {
				t.Fatalf("%d bytes of message", len(msg))
			}
		case MsgError:
			if ReadError(r) == nil {
				t.Fatal("an error message is no error")
			}
		}
		_, _, _ = InspectStream(b, 1<<16)
	})
}
