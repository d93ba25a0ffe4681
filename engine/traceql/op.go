package traceql

// Op is an operator.
type Op uint8

// The operators. Of the structural ones, Not means negated and Union that both sides are returned.
const (
	OpNone Op = iota
	OpAdd
	OpSub
	OpMul
	OpDiv
	OpMod
	OpPow
	OpEq
	OpNe
	OpLt
	OpLe
	OpGt
	OpGe
	OpMatch
	OpNotMatch
	OpAnd
	OpOr
	OpNot
	OpChild      // >: right spans that are children of a left one
	OpParent     // <: right spans that are parents of a left one
	OpDescendant // >>
	OpAncestor   // <<
	OpSibling    // ~
	OpNotChild   // !>
	OpNotParent  // !<
	OpNotDescendant
	OpNotAncestor
	OpNotSibling
	OpUnionChild // &>
	OpUnionParent
	OpUnionDescendant
	OpUnionAncestor
	OpUnionSibling
	OpTopK
	OpBottomK
)

var opNames = [...]string{"", "+", "-", "*", "/", "%", "^", "=", "!=", "<", "<=", ">", ">=", "=~", "!~", "&&", "||", "!",
	">", "<", ">>", "<<", "~", "!>", "!<", "!>>", "!<<", "!~", "&>", "&<", "&>>", "&<<", "&~", "topk", "bottomk"}

// String is the operator in TraceQL.
func (o Op) String() string { return opNames[o] }

// Arithmetic reports + - * / % ^.
func (o Op) Arithmetic() bool { return o >= OpAdd && o <= OpPow }

// Comparison reports = != < <= > >=.
func (o Op) Comparison() bool { return o >= OpEq && o <= OpGe }

// Regex reports =~ and !~ on strings.
func (o Op) Regex() bool { return o == OpMatch || o == OpNotMatch }

// Boolean reports && and ||.
func (o Op) Boolean() bool { return o == OpAnd || o == OpOr }

// Structural reports an operator on the tree of a trace.
func (o Op) Structural() bool { return o >= OpChild && o <= OpUnionSibling }

// Negated reports a structural operator with !.
func (o Op) Negated() bool { return o >= OpNotChild && o <= OpNotSibling }

// Union reports a structural operator with &.
func (o Op) Union() bool { return o >= OpUnionChild && o <= OpUnionSibling }

// Relation is the plain structural operator without ! or &.
func (o Op) Relation() Op {
	switch {
	case o.Negated():
		return o - OpNotChild + OpChild
	case o.Union():
		return o - OpUnionChild + OpChild
	}
	return o
}

// structural turns an operator token between spansets into the structural operator it means there.
func (o Op) structural() Op {
	switch o {
	case OpGt:
		return OpChild
	case OpLt:
		return OpParent
	case OpNotMatch:
		return OpNotSibling
	}
	return o
}

// Binding strengths, low to high. Operators of one level bind to the left, except ^.
const (
	precBool = iota + 1
	precCompare
	precAdd
	precNot
	precMul
	precPow
	precMinus
)

func (o Op) precedence() int {
	switch {
	case o.Boolean():
		return precBool
	case o.Comparison(), o.Regex(), o.Structural():
		return precCompare
	case o == OpAdd, o == OpSub:
		return precAdd
	case o == OpNot:
		return precNot
	case o == OpMul, o == OpDiv, o == OpMod:
		return precMul
	case o == OpPow:
		return precPow
	}
	return 0
}
