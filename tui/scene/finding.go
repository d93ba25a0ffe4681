package scene

import "github.com/ringctl/ringctl/client"

// Finding is one thing the doctor found.
type Finding struct {
	// Rule is the rule's stable id, Severity what it means for the ring.
	Rule     string
	Severity client.Verdict
	// Ring and Subject say where: the ring's short name, the member or partition.
	Ring, Subject string
	// Cause is the diagnosis in one sentence; Evidence what it rests on.
	Cause    string
	Evidence []string
	// Fix is the command that cures it; empty where there is none.
	Fix string
}
