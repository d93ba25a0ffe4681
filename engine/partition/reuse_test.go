package partition

import (
	"testing"
	"time"
)

// TestDecodeValueLike: a value that is the same gives the known ring itself, another one shares its tokens.
func TestDecodeValueLike(t *testing.T) {
	known := NewDesc()
	for p := range int32(3) {
		if _, err := AddPartition(known, p, Active, time.Unix(100, 0)); err != nil {
			t.Fatal(err)
		}
	}
	AddOwner(known, "a", 0, OwnerActive, time.Unix(100, 0))
	got, err := DecodeValueLike(EncodeValue(known), known)
	if err != nil || got != known {
		t.Fatalf("%p, %v; want %p", got, err, known)
	}
	other := known.Clone()
	p := other.Partitions[2]
	p.State = Inactive
	other.Partitions[2] = p
	got, err = DecodeValueLike(EncodeValue(other), known)
	if err != nil || got == known || got.Hash() != other.Hash() {
		t.Fatalf("%v, %v", got, err)
	}
	if &got.Partitions[0].Tokens[0] != &known.Partitions[0].Tokens[0] {
		t.Error("tokens are not shared")
	}
	if got, err = DecodeValueLike(EncodeValue(other), nil); err != nil || got.Hash() != other.Hash() {
		t.Errorf("without a known ring: %v, %v", got, err)
	}
}
