package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
)

func TestCompressionRoundTrip(t *testing.T) {
	msg := bytes.Repeat([]byte("ring ring ring "), 1000)
	for _, algorithm := range []string{CompressionLZW, CompressionSnappy} {
		packed := Compress(algorithm, msg)
		if len(packed) >= len(msg) || packed[0] != msgCompress {
			t.Fatalf("%s: %d bytes of %d, type %d", algorithm, len(packed), len(msg), packed[0])
		}
		got, err := readCompressed(bytes.NewReader(packed[1:]), len(msg))
		if err != nil || !bytes.Equal(got, msg) {
			t.Errorf("%s: %d bytes back, %v", algorithm, len(got), err)
		}
		if _, err := readCompressed(bytes.NewReader(packed[1:]), len(msg)-1); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: over the limit: %v", algorithm, err)
		}
		if got := Compress(algorithm, []byte{8, 1}); len(got) != 2 {
			t.Errorf("%s: a message that cannot get smaller became %d bytes", algorithm, len(got))
		}
	}
}

// A few bytes may claim to hold gigabytes: the claim is checked before anything is allocated.
func TestDecompressionBombs(t *testing.T) {
	huge := binary.AppendUvarint(nil, 3<<30)
	if _, err := Decompress(Snappy, huge, 1<<20); !errors.Is(err, ErrTooLarge) {
		t.Errorf("snappy: %v", err)
	}
	zeros := Compress(CompressionLZW, make([]byte, 8<<20))
	if _, err := readCompressed(bytes.NewReader(zeros[1:]), 1<<20); !errors.Is(err, ErrTooLarge) {
		t.Errorf("lzw: %v", err)
	}
	claim := []byte{0x82, 0xa4, 'A', 'l', 'g', 'o', 0x01, 0xa3, 'B', 'u', 'f', 0xdb, 0x7f, 0xff, 0xff, 0xff}
	allocs := testing.AllocsPerRun(10, func() {
		if _, err := readCompressed(bytes.NewReader(claim), 1<<30); err == nil {
			t.Error("a string that never comes was read")
		}
	})
	if allocs > 30 {
		t.Errorf("%v allocations for a claim", allocs)
	}
}

func TestSievePackets(t *testing.T) {
	s := Sieve{Labels: []string{"new", "old"}, Limit: 1 << 20}
	body := append([]byte{MsgUser}, bytes.Repeat([]byte("abc"), 100)...)
	for _, algorithm := range []string{"", CompressionLZW, CompressionSnappy} {
		for _, checksum := range []bool{false, true} {
			for _, label := range []string{"new", "old"} {
				in := body
				if checksum {
					in = binary.BigEndian.AppendUint32([]byte{msgHasCRC}, crc32.ChecksumIEEE(body))
					in = append(in, body...)
				}
				out := Outgoing(in, label, algorithm)
				got, err := s.Packet(out[0])
				if err != nil || !bytes.Equal(got, body) || len(out) != 1 {
					t.Errorf("%q, checksum %v, label %s: %d bytes, %v", algorithm, checksum, label, len(got), err)
				}
			}
		}
	}
	if _, err := s.Packet(body); !errors.Is(err, ErrLabel) {
		t.Errorf("without a label: %v", err)
	}
	if _, err := s.Packet(Outgoing(body, "other", "")[0]); !errors.Is(err, ErrLabel) {
		t.Errorf("with another label: %v", err)
	}
	open := Sieve{AnyLabel: true, Limit: 1 << 20}
	for _, label := range []string{"", "anything"} {
		if _, err := open.Packet(Outgoing(body, label, "")[0]); err != nil {
			t.Errorf("verification disabled, label %q: %v", label, err)
		}
	}
	damaged := append([]byte{msgHasCRC, 1, 2, 3, 4}, body...)
	if _, err := open.Packet(damaged); err == nil {
		t.Error("a packet with a wrong checksum was taken")
	}
}

// Above 255 parts memberlist's ping path writes a count that is wrong by a multiple of 256.
func TestMendCompound(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 2, 255, 256, 257, 511, 512, 700} {
		var parts [][]byte
		for i := range n {
			parts = append(parts, append([]byte{MsgUser}, fmt.Sprint(i, strings.Repeat("x", rng.IntN(90)))...))
		}
		broken := compound(parts) // the count is cut to a byte exactly as memberlist does it
		var got [][]byte
		for _, m := range mend(broken) {
			ps, ok := compoundParts(m, int(m[1]))
			if !ok {
				t.Fatalf("%d parts: a mended message does not add up", n)
			}
			got = append(got, ps...)
		}
		if len(got) != n {
			t.Fatalf("%d parts: %d came out", n, len(got))
		}
		for i := range got {
			if !bytes.Equal(got[i], parts[i]) {
				t.Fatalf("%d parts: part %d is %q, want %q", n, i, got[i], parts[i])
			}
		}
	}
	for _, odd := range [][]byte{{msgCompound}, {msgCompound, 9, 0}, {MsgUser, 1, 2}, {}} {
		if got := mend(odd); len(got) != 1 || !bytes.Equal(got[0], odd) {
			t.Errorf("%x was changed to %x", odd, got)
		}
	}
}

// TestTakeUser: user messages are taken, the rest is left for memberlist, and so is what does not add up.
func TestTakeUser(t *testing.T) {
	user, ping := []byte{MsgUser, 1, 2}, []byte{msgPing, 3}
	mixed := compound([][]byte{user, ping, {MsgUser}, user, {}})
	for _, c := range []struct {
		msg        []byte
		user, rest [][]byte
	}{
		{user, [][]byte{{1, 2}}, nil},
		{ping, nil, [][]byte{ping}},
		{mixed, [][]byte{{1, 2}, {}, {1, 2}}, [][]byte{ping, {}}},
		{mixed[:len(mixed)-1], nil, [][]byte{mixed[:len(mixed)-1]}},
		{mixed[:4], nil, [][]byte{mixed[:4]}},
		{[]byte{msgCompound}, nil, [][]byte{{msgCompound}}},
	} {
		var got [][]byte
		rest := TakeUser(c.msg, func(b []byte) { got = append(got, b) })
		if !slices.EqualFunc(got, c.user, bytes.Equal) || !slices.EqualFunc(rest, c.rest, bytes.Equal) {
			t.Errorf("%x: took %x, left %x", c.msg, got, rest)
		}
	}
}

func TestFrameDropsDamage(t *testing.T) {
	whole := AppendFrame(nil, Packet{From: "10.0.0.1:7946", Payload: []byte("payload")})
	if p, err := ParseFrame(whole[1:]); err != nil || p.From != "10.0.0.1:7946" || string(p.Payload) != "payload" {
		t.Errorf("%+v, %v", p, err)
	}
	for i := 1; i < len(whole); i++ {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x40
		if p, err := ParseFrame(bad[1:]); err == nil && p.From == "10.0.0.1:7946" {
			t.Errorf("a flipped bit in byte %d was not noticed", i)
		}
		if _, err := ParseFrame(whole[1:i]); err == nil {
			t.Errorf("%d of %d bytes were taken", i, len(whole))
		}
	}
}

// A stream conn keeps what follows the label and passes a plain message through byte by byte.
func TestStreamBody(t *testing.T) {
	long := append([]byte{MsgPushPull}, bytes.Repeat([]byte("state "), 50000)...)
	s := Sieve{Labels: []string{"x"}, Limit: 1 << 20}
	for _, algorithm := range []string{"", CompressionLZW, CompressionSnappy} {
		msg := long
		if algorithm != "" {
			msg = Compress(algorithm, long)
		}
		r, err := s.Stream(bytes.NewReader(append(AppendLabel(nil, "x"), msg...)), true)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, long) {
			t.Errorf("%q: %d bytes, %v", algorithm, len(got), err)
		}
	}
	if _, err := s.Stream(bytes.NewReader(long), true); !errors.Is(err, ErrLabel) {
		t.Errorf("no label: %v", err)
	}
}

func TestMetaOddities(t *testing.T) {
	for in, want := range map[string]Meta{
		"":                              {Role: RoleMember},
		"\x01\x02":                      {Role: RoleMember},
		"\x01\x02\x01":                  {Role: RoleMember},
		"\x01\x02\x00":                  {Role: RoleBridge},
		"\x01\x01\x11aaaaaaaaaaaaaaaaa": {Role: RoleMember},
	} {
		if got := ParseMeta([]byte(in)); got != want {
			t.Errorf("%q: %+v, want %+v", in, got, want)
		}
	}
	if _, err := AppendMeta(nil, Meta{Zone: strings.Repeat("z", 17)}); err == nil {
		t.Error("a zone of 17 bytes was written")
	}
}

// Members compare addresses byte by byte, so one node must always show the same form.
func TestAddressesHaveOneForm(t *testing.T) {
	long := net.ParseIP("10.1.2.3")
	if HostPort(long, 7946) != HostPort(long.To4(), 7946) {
		t.Errorf("forms differ: %s %s", HostPort(long, 7946), HostPort(long.To4(), 7946))
	}
	if got := HostPort(net.ParseIP("2001:db8::1"), 7946); got != "[2001:db8::1]:7946" {
		t.Errorf("IPv6: %s", got)
	}
	if got := HostPort([]byte{1, 2, 3}, 1); got != "?:1" {
		t.Errorf("three bytes: %s", got)
	}
}

// TestFrameOnce: a listener finds a damaged packet by the checksum inside, and by that of the frame where there is none.
func TestFrameOnce(t *testing.T) {
	sieve := Sieve{Labels: []string{"c"}, Limit: 1 << 20}
	for _, checksum := range []bool{true, false} {
		msg := []byte{MsgUser, 1, 2, 3}
		if checksum {
			msg = append([]byte{msgHasCRC, 0, 0, 0, 0}, msg...)
		}
		frame := AppendFrame(nil, Packet{From: "10.0.0.1:1", Payload: Outgoing(msg, "c", "")[0]})[1:]
		open := func(b []byte) ([]byte, error) {
			p, err := ParseFrameOnce(b)
			if err != nil {
				return nil, err
			}
			return sieve.Packet(p.Payload)
		}
		if got, err := open(frame); err != nil || !bytes.Equal(got, []byte{MsgUser, 1, 2, 3}) {
			t.Errorf("checksum %v: % x, %v", checksum, got, err)
		}
		damaged := bytes.Clone(frame)
		damaged[len(damaged)-17] ^= 1 // the last byte of the message
		if got, err := open(damaged); err == nil {
			t.Errorf("checksum %v: damage gave % x", checksum, got)
		}
	}
}
