package policy

import (
	"math/big"
	"regexp"
	"strconv"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
)

// readSchema is nil where anything in the schema is more than plain. It does not
// judge schemas: the library has compiled this one.
func readSchema(v ast.Value) *fastSchema {
	o, ok := v.(ast.Object)
	if !ok {
		return nil
	}
	s := &fastSchema{minProperties: -1, maxProperties: -1, minItems: -1, maxItems: -1, minLength: -1, maxLength: -1}
	if o.Until(func(name, value *ast.Term) bool {
		keyword, ok := name.Value.(ast.String)
		return !ok || !s.read(string(keyword), value.Value)
	}) {
		return nil
	}
	return s
}

func (s *fastSchema) read(keyword string, v ast.Value) bool {
	switch keyword {
	case "title", "description", "default", "examples":
		return true
	case "type":
		return s.readTypes(v)
	case "properties":
		return s.readProperties(v)
	case "required":
		return eachText(v, func(name ast.String) { s.required = append(s.required, ast.NewTerm(name)) })
	case "additionalProperties":
		allowed, ok := v.(ast.Boolean)
		s.closed = !bool(allowed)
		return ok
	case "items":
		s.items = readSchema(v)
		return s.items != nil
	case "pattern":
		text, _ := v.(ast.String)
		pattern, err := regexp.Compile(string(text))
		s.pattern = pattern
		return err == nil && text != ""
	case "format":
		text, _ := v.(ast.String)
		s.format = fastFormats[text]
		return s.format != nil
	case "enum", "const":
		return s.readValues(keyword, v)
	}
	return s.readLimit(keyword, v) || s.readBound(keyword, v)
}

func (s *fastSchema) readTypes(v ast.Value) bool {
	if name, ok := v.(ast.String); ok {
		s.types = jsonTypeNames[name]
		return s.types != 0
	}
	ok := eachText(v, func(name ast.String) { s.types |= jsonTypeNames[name] })
	return ok && s.types != 0
}

func (s *fastSchema) readProperties(v ast.Value) bool {
	o, ok := v.(ast.Object)
	return ok && !o.Until(func(name, value *ast.Term) bool {
		text, ok := name.Value.(ast.String)
		schema := readSchema(value.Value)
		s.properties = append(s.properties, fastProperty{name, schema})
		return !ok || schema == nil || !utf8.ValidString(string(text))
	})
}

// readValues takes texts alone: the library compares other values by their JSON.
// Beside another list of values it has no say.
func (s *fastSchema) readValues(keyword string, v ast.Value) bool {
	if s.values != nil {
		return false
	}
	s.values = map[ast.String]bool{}
	if keyword == "const" {
		text, ok := v.(ast.String)
		s.values[text] = true
		return ok
	}
	return eachText(v, func(text ast.String) { s.values[text] = true })
}

func (s *fastSchema) readLimit(keyword string, v ast.Value) bool {
	limit := map[string]*int{
		"minProperties": &s.minProperties, "maxProperties": &s.maxProperties,
		"minItems": &s.minItems, "maxItems": &s.maxItems,
		"minLength": &s.minLength, "maxLength": &s.maxLength,
	}[keyword]
	text, ok := v.(ast.Number)
	if limit == nil || !ok {
		return false
	}
	n, err := strconv.Atoi(string(text))
	*limit = n
	return err == nil && n >= 0
}

func (s *fastSchema) readBound(keyword string, v ast.Value) bool {
	bound := map[string]**big.Rat{
		"minimum": &s.least, "maximum": &s.most, "exclusiveMinimum": &s.strictLeast, "exclusiveMaximum": &s.strictMost,
	}[keyword]
	text, ok := v.(ast.Number)
	if bound == nil || !ok || !plainNumber.MatchString(string(text)) {
		return false
	}
	*bound, ok = new(big.Rat).SetString(string(text))
	return ok
}

// eachText is whether v is a list of texts, and no other.
func eachText(v ast.Value, f func(ast.String)) bool {
	list, ok := v.(*ast.Array)
	if !ok {
		return false
	}
	for i := range list.Len() {
		text, ok := list.Elem(i).Value.(ast.String)
		if !ok || !utf8.ValidString(string(text)) {
			return false
		}
		f(text)
	}
	return true
}
