// Package interop tests this project's gossip against real dskit nodes, which run in a process of their own (see
// dskitpeer) and talk to ours over loopback.
//
//	cd interop && go test ./...
//	cd interop && go test -bench . -run none
//
// It is a module of its own, so that nobody who uses the product gets dskit.
package interop
