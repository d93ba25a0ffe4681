// Package gossip spreads small merged values between nodes and knows who is there, over hashicorp/memberlist,
// byte for byte compatible with the dskit family (Tempo, Mimir, Loki, Pyroscope).
//
// There are three ways in.
//
//   - [Open] makes a full member: a [Cluster] that gossips, keeps a [Store] of values, merges what it hears and
//     passes changes on. This is what a node of the engine uses.
//   - [Dialer] asks without being a member: [Dialer.Pull] reads one node's whole view in one exchange, [Dialer.Send]
//     hands one node one change. Nothing of it shows in the member list.
//   - [JoinAsGuest] becomes a member that only listens: it stores nothing, forwards nothing, accuses nobody and always
//     leaves. It is for programs that want every change as it spreads.
//
// Underneath, from the wire upwards: package wire reads and writes bytes with limits; transport.go and sift.go carry
// packets and streams over TCP or TLS and take off labels and compression; store.go merges pairs (pure, no goroutines,
// the clock is a parameter); queue.go decides what to gossip next; cluster.go and join.go tie all of it to memberlist.
//
// What a value means is not known here: a [Codec] decodes it and a [Value] merges itself. Values of unknown codecs are
// visible in a [View] as they came, but a member neither stores nor relays them.
package gossip
