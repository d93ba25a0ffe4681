package query

// LookForRare makes the plan look for the traces that can be in the answer before it joins, however many they are.
func (p *SearchPlan) LookForRare() { p.rare = 1 }
