package ringapi

import (
	"net/url"
	"strconv"
)

// Prefix is where the control API lives. Reading is GET; everything that changes something is POST.
const Prefix = "/api/ring/v1"

// Patterns for net/http.ServeMux, without the method. {ring} is a ring's key or short name,
// path-escaped ("collectors%2Fring" or "ingester").
const (
	PatternRings           = Prefix + "/rings"
	PatternRing            = Prefix + "/rings/{ring}"
	PatternForget          = Prefix + "/rings/{ring}/forget"
	PatternPartitionRing   = Prefix + "/partition-rings/{ring}"
	PatternPartition       = Prefix + "/partition-rings/{ring}/partitions/{partition}"
	PatternPartitionRemove = Prefix + "/partition-rings/{ring}/partitions/{partition}/remove"
	PatternPartitionDrain  = Prefix + "/partition-rings/{ring}/partitions/{partition}/drain"
	PatternOwnerRemove     = Prefix + "/partition-rings/{ring}/remove-owner"
)

// PathRings lists all rings: GET, answers [RingList].
func PathRings() string { return PatternRings }

// PathRing is one instance ring: GET, answers [Ring]. ?tokens=true adds the tokens.
func PathRing(ring string) string { return PatternRings + "/" + url.PathEscape(ring) }

// PathForget removes an instance: POST [ForgetRequest], answers [Change].
func PathForget(ring string) string { return PathRing(ring) + "/forget" }

// PathPartitionRing is one partition ring: GET, answers [PartitionRing]. ?tokens=true adds the tokens.
func PathPartitionRing(ring string) string {
	return Prefix + "/partition-rings/" + url.PathEscape(ring)
}

// PathPartition is one partition: GET answers [Partition]; POST [PartitionRequest] answers [Change].
func PathPartition(ring string, partition int32) string {
	return PathPartitionRing(ring) + "/partitions/" + strconv.FormatInt(int64(partition), 10)
}

// PathPartitionRemove deletes a partition: POST [PartitionRemoveRequest], answers [Change].
func PathPartitionRemove(ring string, partition int32) string {
	return PathPartition(ring, partition) + "/remove"
}

// PathPartitionDrain tells how far the scale-down of a partition is: GET, answers [DrainStatus].
func PathPartitionDrain(ring string, partition int32) string {
	return PathPartition(ring, partition) + "/drain"
}

// PathOwnerRemove takes an owner off its partition: POST [OwnerRemoveRequest], answers [Change].
func PathOwnerRemove(ring string) string { return PathPartitionRing(ring) + "/remove-owner" }
