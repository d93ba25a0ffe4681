// Package tui is the dashboard of ringctl: the rings of a cluster on a terminal,
// live, with a past to step back through and careful ways to change things.
//
// Start with [Run] and [Source]. A Source is where the rings come from: a
// running cluster through [NewSource], or a recording through [NewReplay].
//
//	err := tui.Run(ctx, tui.Options{Source: tui.NewSource(c, tui.About{Name: "prod"})})
//
// Inside there is one Bubble Tea model. Its Update is a table that routes
// messages; screens are the plain components of package screen, drawn on the
// canvas of package widget from the immutable scenes of package scene.
// Everything that takes time happens in commands, and comes back with a
// generation number: an answer to an old question is dropped.
//
// The dashboard never changes a cluster by a single key. A change starts with a
// capital letter, shows its checks, and needs typed words.
package tui
