// Package interop tests this project's gossip against real dskit nodes, which run in a process of their own (see
// dskitpeer) and talk to ours over loopback.
//
//	cd interop && go test ./...
//	cd interop && go test -bench . -run none
//	cd interop && RINGCTL_TEST_NETNS=1 go test -run 'Cut|Kill' .
//
// The last one needs root and ip(8): it gives each node a network namespace of its own, cuts the network between them,
// kills and suspends processes, and takes two minutes.
//
// It is a module of its own, so that nobody who uses the product gets dskit.
package interop
