// Package enginetest tests tempod as its users meet it: real processes on
// loopback, real senders, kill -9, full disks, broken files.
//
// It holds tests only. node_test.go runs one process, cluster_test.go several;
// traffic_test.go sends spans and remembers what was acknowledged;
// api_test.go asks, and compares what comes back with what was sent, field by
// field. The stories are in the other files, one question each.
//
// RINGCTL_TEST_TEMPOD names a tempod binary to test instead of building one,
// RINGCTL_TEST_TELEMETRYGEN a telemetrygen to send with. Nothing runs with
// -short.
package enginetest
