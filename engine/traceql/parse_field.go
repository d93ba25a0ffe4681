package traceql

import "strings"

// field reads an expression about one span with operators that bind at least as strong as min.
func (p *parser) field(min int) (Field, *Error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	left, err := p.prefix()
	if err != nil {
		return nil, err
	}
	for p.tok.kind == tokOp && p.tok.op != OpNot {
		op, pos := p.tok.op, p.tok.pos
		prec := op.precedence()
		if prec < min {
			return left, nil
		}
		if op.Structural() {
			return nil, p.errorf(pos, "structural operators stand between spansets: { } "+op.String()+" { }", "%q cannot combine values", op)
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		if op == OpEq && p.tok.kind == tokOp && p.tok.op == OpEq {
			return nil, p.errorf(pos, "equality is a single =", "unexpected \"==\"")
		}
		next := prec + 1
		if op == OpPow {
			next = prec
		}
		right, err := p.field(next)
		if err != nil {
			return nil, err
		}
		left = &Binary{Pos: pos, Op: op, Left: left, Right: right}
	}
	return left, nil
}

// prefix reads an operand with its unary operators.
func (p *parser) prefix() (Field, *Error) {
	t := p.tok
	if t.kind == tokOp && (t.op == OpNot || t.op == OpSub) {
		if err := p.advance(); err != nil {
			return nil, err
		}
		prec := precMinus
		if t.op == OpNot {
			prec = precNot + 1
		}
		x, err := p.field(prec)
		if err != nil {
			return nil, err
		}
		if lit, ok := x.(*Lit); ok && t.op == OpSub && lit.Value.Type.Numeric() {
			return &Lit{Pos: t.pos, Value: negate(lit.Value)}, nil
		}
		return &Unary{Pos: t.pos, Op: t.op, Expr: x}, nil
	}
	return p.primary()
}

func (p *parser) primary() (Field, *Error) {
	t := p.tok
	switch t.kind {
	case tokLit:
		return &Lit{Pos: t.pos, Value: t.lit}, p.advance()
	case tokAttr, tokIntrinsic:
		a := t.attr
		return &a, p.advance()
	case tokWord:
		if f := keyword(t); f != nil {
			return f, p.advance()
		}
		return nil, p.errorf(t.pos, p.suggestField(t), "unknown identifier %q", clip(t.text))
	case tokPunct:
		if t.text == "(" {
			if err := p.advance(); err != nil {
				return nil, err
			}
			x, err := p.field(0)
			if err != nil {
				return nil, err
			}
			return x, p.expect(")", "a bracket is not closed")
		}
	}
	return nil, p.errorf(t.pos, `values are 5, 100ms, "text" and true, attributes .a, span.a and resource.a`, "unexpected %s, expected a value or an attribute", t.describe())
}

// keyword is the literal or intrinsic that a bare word stands for, or nil.
func keyword(t token) Field {
	lit := func(typ Type, n int64) Field { return &Lit{Pos: t.pos, Value: Static{Type: typ, Int: n}} }
	switch t.text {
	case "true":
		return lit(TypeBool, 1)
	case "false":
		return lit(TypeBool, 0)
	case "nil":
		return lit(TypeNil, 0)
	case "minInt":
		return lit(TypeInt, -1<<63)
	case "maxInt":
		return lit(TypeInt, 1<<63-1)
	}
	for i, name := range statusNames {
		if t.text == name {
			return lit(TypeStatus, int64(i))
		}
	}
	for i, name := range kindNames {
		if t.text == name {
			return lit(TypeKind, int64(i))
		}
	}
	if i := LookupIntrinsic(t.text); i != NotIntrinsic {
		return &Attr{Pos: t.pos, Intrinsic: i}
	}
	return nil
}

// suggestField guesses what an unknown bare word was meant to be.
func (p *parser) suggestField(t token) string {
	words := append(intrinsicNames(), "true", "false", "nil")
	words = append(append(words, statusNames[:]...), kindNames[:]...)
	if c := nearest(t.text, words); c != "" {
		return "did you mean " + c + "?"
	}
	rest := t.text + attrRun(p.lex.query[t.pos+len(t.text):])
	if strings.HasPrefix(rest, "http") || strings.Contains(rest, ".") || len(rest) > 1 {
		return "attributes have a scope: ." + clip(rest) + " or span." + clip(rest) + " or resource." + clip(rest) + "; strings have quotes"
	}
	return "attributes have a scope, like ." + clip(rest) + "; strings have quotes"
}
