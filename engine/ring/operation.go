package ring

// Operation says which instances an action may use: bit s is set when
// instances in state s are healthy for it, bit 16+s when an instance in state s
// makes the replica set one larger, so that another one stands in for it.
type Operation uint32

// The operations of the family.
const (
	// Write needs ACTIVE instances and replaces all others.
	Write = Operation(1<<Active | (1<<Leaving|1<<Pending|1<<Joining|1<<Left)<<16)
	// WriteNoExtend needs ACTIVE instances and replaces none.
	WriteNoExtend = Operation(1 << Active)
	// Read also accepts PENDING and LEAVING instances, which still hold data,
	// and replaces those that do not.
	Read = Operation(1<<Active | 1<<Pending | 1<<Leaving | (1<<Pending|1<<Joining|1<<Left)<<16)
	// Reporting accepts every state.
	Reporting = Operation(0xffff)
)

// NewOperation builds an operation from the states that are healthy for it and
// the states that extend the replica set.
func NewOperation(healthy, extend []State) Operation {
	var op Operation
	for _, s := range healthy {
		op |= stateBit(s)
	}
	for _, s := range extend {
		op |= stateBit(s) << 16
	}
	return op
}

func stateBit(s State) Operation {
	if uint32(s) > 15 {
		return 0
	}
	return 1 << s
}

// Accepts tells whether instances in state s are healthy for the operation.
func (op Operation) Accepts(s State) bool { return op&stateBit(s) != 0 }

// Extends tells whether an instance in state s makes the replica set larger.
func (op Operation) Extends(s State) bool { return op>>16&stateBit(s) != 0 }
