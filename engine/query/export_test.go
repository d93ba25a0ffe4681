package query

import (
	"context"

	"github.com/ringctl/ringctl/engine/columnar"
)

// LookForRare makes the plan look for the traces that can be in the answer before it joins, however many they are.
func (p *SearchPlan) LookForRare() { p.rare = 1 }

// SizeJoined is what a span of a joined segment takes of a budget.
const SizeJoined = sizeJoined

// Open makes the segment that a unit looks at, joined if its traces lie in several places.
func Open(ctx context.Context, u *Unit) (columnar.Segment, error) { return u.segment(ctx) }
