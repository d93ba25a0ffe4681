// Command stop measures how soon tempod stops working for a client that left.
// It asks a running tempod hostile questions, hangs up somewhere in the middle
// of each, and looks at tempod's own count of questions under way until that is
// zero. The time of a look, which counts as well, is printed with the table.
//
//	go run ./bench/stop -addr http://127.0.0.1:3200 -runs 20
//
// With -blocks it evaluates the questions itself, on one thread, and prints the
// longest processor time between two looks at the context: that does not depend
// on what else the machine does.
//
// Nobody else may ask that tempod at the same time. Fill it first: bench/e2e.
package main
