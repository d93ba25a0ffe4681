// Package wire reads and writes what members of a gossip cluster send: the frames of the TCP transport, memberlist's
// messages with their labels, checksums and compression, and the key-value pairs of the dskit family inside them.
//
// Everything here is a pure function over bytes with limits: nothing is allocated because a few bytes claim to be many.
// Start with [Pair] and [DecodeState] for the values, [Sieve] for what arrives, [Outgoing] for what leaves, and
// [InspectPacket] to see what a recording holds.
package wire
