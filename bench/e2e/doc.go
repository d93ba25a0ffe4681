// Command e2e measures tempod from outside: what it costs to take spans from
// the socket to settled, merged blocks, whether every trace is there, what the
// blocks weigh, and how long questions take. It makes its own load (package
// gen), starts its own tempod on free ports, and prints a table.
//
//	go run ./bench/e2e -tempod bin/tempod -spans 2000000
//
// Machines differ, so costs are given as multiples of one yardstick: the CPU
// time that google's protobuf needs to decode the same spans once. Reads /proc.
package main
