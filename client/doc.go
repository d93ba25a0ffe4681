// Package client asks the rings of a running cluster, and changes them with care.
//
// It speaks the gossip protocol that tempod, Tempo, Mimir, Loki, Pyroscope and Cortex share, so it needs no
// help from the servers. Start with [New] and [Client.Snapshot]:
//
//	c, err := client.New(client.Config{Seeds: []string{"127.0.0.1:7946"}})
//	snap, err := c.Snapshot(ctx)
//
// A [Snapshot] is one member's own view, complete and immutable, with health, ownership and quorum worked
// out. [Client.Views] fetches every member's, because members may disagree; [Client.Watch] follows changes.
//
// Everything that judges is a pure function of snapshots: [Build] makes one from the pulled pairs,
// [Compare] finds differences, [Simulate] and [CanStop] answer what-if questions. Everything that changes
// something ([Client.Forget], [Client.EditPartition]) reads first, checks, writes the smallest message that
// can work, and reads back from other members until all agree. [Client.Drain] makes such changes over hours, each
// when it is safe.
//
// What it does not do: it never runs a whole-ring compare-and-swap, never deletes a key, never forwards
// state it received, and never writes an entry it has not read in full.
package client
