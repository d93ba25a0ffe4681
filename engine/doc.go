// Package engine is the whole: it reads the configuration, picks the workers
// of the chosen target, hands each the few methods it needs, and starts and
// stops them.
//
// Start with Default, lay a file and flags over it, then Open and Run.
//
// # The packages below it
//
// A span enters at the receiver, is placed by the distributor, travels to its
// keepers, rests in the recent store and later in a block, is kept tidy by the
// backend worker, and is found again by frontend and querier. Rings say who,
// gossip lets everybody know, the client package lets people ask, tui lets
// them see.
//
// Each package is exactly one kind. Words know nothing; carriers and shelves
// know words; workers know all three but not each other; only this package
// knows workers. The table in layers_test.go is checked by every test run.
//
//	words     trace, tenant, ring, partition, traceql, columnar, query, ringapi
//	carriers  kv (gossipkv, consulkv, etcdkv, memkv), gossip, membership, peer
//	shelves   wal, bucket, block, recent, catalog, compactor
//	workers   receiver, distributor, ingester, livestore, querier, frontend, backendworker, control
//	whole     engine
package engine
