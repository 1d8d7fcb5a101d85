package groups

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// selector is a parsed selection: every term must hold.
type selector []term

type term func(Instance) bool

// SelectError says what is wrong with a selection, and where.
type SelectError struct {
	Expr string // the whole selection
	Pos  int    // the byte at which it goes wrong, from 0; len(Expr) is its end
	Msg  string
}

// Error gives the column, counted from 1, and shows what begins there.
func (e *SelectError) Error() string {
	at := "the end"
	if e.Pos < len(e.Expr) {
		at = strconv.Quote(e.Expr[e.Pos:])
	}
	return fmt.Sprintf("select %q: column %d, at %s: %s", e.Expr, e.Pos+1, at, e.Msg)
}

// operators, the longer ones first, so that >= is not taken for >.
var operators = [...]string{"!=", ">=", "<=", "==", "=", ">", "<"}

// parseSelector reads a selection; the grammar stands at Select. Its errors are *SelectError.
func parseSelector(expr string) (selector, error) {
	p := &parser{expr: expr}
	p.space()
	if p.done() {
		return nil, nil
	}
	var s selector
	for {
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		s = append(s, t)
		p.space()
		if p.done() {
			return s, nil
		}
		if !p.skip(",") {
			return nil, p.fail(p.pos, "a comma or the end should be here")
		}
		p.space()
	}
}

// matches tells whether all terms hold for in.
func (s selector) matches(in Instance) bool {
	for _, t := range s {
		if !t(in) {
			return false
		}
	}
	return true
}

type parser struct {
	expr string
	pos  int
}

func (p *parser) done() bool { return p.pos == len(p.expr) }

func (p *parser) fail(pos int, msg string, a ...any) error {
	return &SelectError{Expr: p.expr, Pos: pos, Msg: fmt.Sprintf(msg, a...)}
}

func (p *parser) space() {
	for !p.done() && (p.expr[p.pos] == ' ' || p.expr[p.pos] == '\t') {
		p.pos++
	}
}

func (p *parser) skip(s string) bool {
	ok := strings.HasPrefix(p.expr[p.pos:], s)
	if ok {
		p.pos += len(s)
	}
	return ok
}

func (p *parser) term() (term, error) {
	fieldAt := p.pos
	for !p.done() && !strings.ContainsRune(" \t,=!<>", rune(p.expr[p.pos])) {
		p.pos++
	}
	field := p.expr[fieldAt:p.pos]
	if field == "" {
		return nil, p.fail(fieldAt, "a field should be here")
	}
	p.space()
	opAt := p.pos
	op := p.operator()
	if op == "" {
		return nil, p.fail(opAt, "one of = != < <= > >= should be here")
	}
	p.space()
	valueAt := p.pos
	value, err := p.value()
	if err != nil {
		return nil, err
	}
	return p.compile(field, fieldAt, op, opAt, value, valueAt)
}

func (p *parser) operator() string {
	for _, op := range operators {
		if p.skip(op) {
			return op
		}
	}
	return ""
}

// value reads a quoted string, or what there is up to a comma or the end, without the spaces around it.
func (p *parser) value() (string, error) {
	if p.done() || p.expr[p.pos] == ',' {
		return "", p.fail(p.pos, "a value should be here")
	}
	if p.expr[p.pos] == '"' {
		quoted, err := strconv.QuotedPrefix(p.expr[p.pos:])
		if err != nil {
			return "", p.badQuote()
		}
		p.pos += len(quoted)
		return strconv.Unquote(quoted)
	}
	start := p.pos
	for !p.done() && p.expr[p.pos] != ',' {
		if strings.IndexByte(`"=<>!`, p.expr[p.pos]) >= 0 {
			return "", p.fail(p.pos, "%q must stand in a quoted value", p.expr[p.pos])
		}
		p.pos++
	}
	return strings.TrimRight(p.expr[start:p.pos], " \t"), nil
}

// badQuote says what is wrong with the quoted value that begins here.
func (p *parser) badQuote() error {
	for rest := p.expr[p.pos+1:]; rest != ""; {
		at := len(p.expr) - len(rest)
		_, _, tail, err := strconv.UnquoteChar(rest, '"')
		switch {
		case rest[0] == '\n':
			return p.fail(at, `a line break is written \n`)
		case err != nil && len(rest) > 1:
			return p.fail(at, `a quoted value has no such escape: a backslash is written \\`)
		}
		rest = tail // empty after a backslash that ends the selection
	}
	return p.fail(p.pos, "this quoted value does not end")
}

// compile makes the term that compares field with value, as the kind of the field asks.
func (p *parser) compile(field string, fieldAt int, op string, opAt int, value string, valueAt int) (term, error) {
	if key, ok := strings.CutPrefix(field, "meta."); ok {
		if key == "" {
			return nil, p.fail(fieldAt+len("meta."), "the name of a meta entry should be here")
		}
		if op == "=" || op == "==" || op == "!=" {
			return text(op, value, func(in Instance) string { return in.Meta[key] }), nil
		}
		return p.number(op, value, valueAt, func(in Instance) (float64, bool) {
			f, err := strconv.ParseFloat(in.Meta[key], 64)
			return f, err == nil
		})
	}
	switch field {
	case "version":
		return p.version(op, value, valueAt)
	case "load":
		return p.number(op, value, valueAt, func(in Instance) (float64, bool) { return in.Load, true })
	case "port":
		return p.number(op, value, valueAt, func(in Instance) (float64, bool) { return float64(in.Port), true })
	}
	get := map[string]func(Instance) string{
		"id":     func(in Instance) string { return in.ID },
		"host":   func(in Instance) string { return in.Host },
		"flavor": func(in Instance) string { return in.Flavor },
		"status": func(in Instance) string { return string(in.Status) },
	}[field]
	switch {
	case get == nil:
		return nil, p.fail(fieldAt, "there is no field %q: take flavor, version, load, status, id, host, port or meta.NAME", field)
	case op != "=" && op != "==" && op != "!=":
		return nil, p.fail(opAt, "%s is text, and has no order: take = or !=", field)
	}
	return text(op, value, get), nil
}

func (p *parser) version(op, value string, at int) (term, error) {
	want, err := parseVersion(value)
	if err != nil {
		return nil, p.fail(at, "%q is %v", value, err)
	}
	return func(in Instance) bool {
		have, err := parseVersion(in.Version)
		if err != nil {
			return op == "!="
		}
		return holds(op, have.compare(want))
	}, nil
}

func (p *parser) number(op, value string, at int, get func(Instance) (float64, bool)) (term, error) {
	want, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(want) {
		return nil, p.fail(at, "%q is not a number", value)
	}
	return func(in Instance) bool {
		have, ok := get(in)
		if !ok || math.IsNaN(have) {
			return false
		}
		switch {
		case have < want:
			return holds(op, -1)
		case have > want:
			return holds(op, 1)
		}
		return holds(op, 0)
	}, nil
}

func text(op, value string, get func(Instance) string) term {
	return func(in Instance) bool { return (get(in) == value) == (op != "!=") }
}

// holds tells whether op is true of two values that compare as c.
func holds(op string, c int) bool {
	switch op {
	case "!=":
		return c != 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	}
	return c == 0
}
