package gossip

import (
	"reflect"
	"testing"
)

func FuzzBeacons(f *testing.F) {
	f.Add(Beacons{7: {PublishedAt: 1, DeletedAt: 2, PublishedBy: "n"}}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := BeaconCodec{}.Decode(b)
		if err != nil {
			return
		}
		again, err := BeaconCodec{}.Decode(v.Encode())
		if err != nil || !reflect.DeepEqual(v, again) {
			t.Fatalf("%v became %v: %v", v, again, err)
		}
	})
}
