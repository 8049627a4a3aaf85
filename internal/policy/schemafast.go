package policy

import (
	"encoding/json"
	"math/big"
	"net/mail"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/cache"
)

// Most documents that are put to a schema match it, and the schema library makes
// JSON of each and reads it again before it looks. So a schema of plain keywords is
// also read by this file, which says of an OPA value "it matches", or nothing. It
// says so only where the library is sure to come to [true, []]; all else is left to
// the library: what does not match, since the library words the faults; every
// keyword that is not here; and numbers, names and texts of unusual form.
//
// Whether a schema is one at all is the library's to judge: only a schema that it
// has compiled is read here (TestFastSchemaAgrees puts both side by side).

// fastSchemas is the named cache of plain schemas, one for each policy. Of a schema
// that is not plain it holds nil.
const fastSchemas = "authz_fast_schemas"

func init() {
	most := 256 // as newValueCache: the keys may come from requests
	cache.RegisterDefaultInterQueryBuiltinValueCacheConfig(fastSchemas, &cache.NamedValueCacheConfig{MaxNumEntries: &most})
}

// fastMatch is whether the document is sure to match. A schema is read when it is
// asked for and known says that the library compiled it.
func fastMatch(bctx topdown.BuiltinContext, document, schema ast.Value, known func() bool) bool {
	switch document.(type) {
	case ast.Object, *ast.Array: // text would be JSON to be read
	default:
		return false
	}
	if _, ok := schema.(ast.Object); !ok || bctx.InterQueryBuiltinValueCache == nil {
		return false
	}
	plain := bctx.InterQueryBuiltinValueCache.GetCache(fastSchemas)
	if plain == nil {
		return false
	}
	entry, ok := plain.Get(schema)
	if !ok {
		if !known() {
			return false
		}
		entry = readSchema(schema)
		plain.Insert(schema, entry)
	}
	s, _ := entry.(*fastSchema)
	return s != nil && s.matches(document)
}

// matched is what the library answers where there are no faults.
func matched() *ast.Term { return ast.ArrayTerm(ast.InternedTerm(true), ast.ArrayTerm()) }

// jsonTypes is a set of the types of JSON Schema.
type jsonTypes uint8

const (
	typeNull jsonTypes = 1 << iota
	typeBoolean
	typeInteger
	typeNumber
	typeString
	typeArray
	typeObject
)

var jsonTypeNames = map[ast.String]jsonTypes{
	"null": typeNull, "boolean": typeBoolean, "integer": typeInteger, "number": typeNumber,
	"string": typeString, "array": typeArray, "object": typeObject,
}

// fastSchema is a schema of plain keywords. A keyword concerns values of its type
// only. Limits that are not set are -1, or nil.
type fastSchema struct {
	types jsonTypes // 0: any

	properties                   []fastProperty
	required                     []*ast.Term
	closed                       bool
	minProperties, maxProperties int

	items              *fastSchema
	minItems, maxItems int

	minLength, maxLength int
	pattern              *regexp.Regexp
	format               func(string) bool
	values               map[ast.String]bool // of enum or const: texts

	// A value less than least, or more than most, does not match; nor one equal to a
	// bound that is strict.
	least, most             *big.Rat
	strictLeast, strictMost *big.Rat
}

type fastProperty struct {
	name   *ast.Term
	schema *fastSchema
}

// maxFastDepth is far below the depth at which JSON readers give up.
const maxFastDepth = 600

func (s *fastSchema) allows(k jsonTypes) bool { return s.types == 0 || s.types&k != 0 }

func (s *fastSchema) matches(v ast.Value) bool {
	if s.values != nil {
		text, ok := v.(ast.String)
		if !ok || !s.values[text] {
			return false
		}
	}
	switch v := v.(type) {
	case ast.Null:
		return s.allows(typeNull)
	case ast.Boolean:
		return s.allows(typeBoolean)
	case ast.Number:
		return s.matchesNumber(string(v))
	case ast.String:
		return s.allows(typeString) && s.matchesText(string(v))
	case *ast.Array:
		return s.allows(typeArray) && s.matchesArray(v)
	case ast.Object:
		return s.allows(typeObject) && s.matchesObject(v)
	}
	return false
}

func (s *fastSchema) matchesText(text string) bool {
	if !utf8.ValidString(text) {
		return false
	}
	if s.minLength >= 0 || s.maxLength >= 0 {
		n := utf8.RuneCountInString(text)
		if n < s.minLength || s.maxLength >= 0 && n > s.maxLength {
			return false
		}
	}
	return (s.pattern == nil || s.pattern.MatchString(text)) && (s.format == nil || s.format(text))
}

// plainNumber leaves out exponents: they make small text a very large number.
var plainNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?$`)

func isInteger(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && strconv.Itoa(n) == text
}

func (s *fastSchema) matchesNumber(text string) bool {
	bounded := s.least != nil || s.most != nil || s.strictLeast != nil || s.strictMost != nil
	integer := isInteger(text)
	if integer && !bounded {
		return s.allows(typeInteger | typeNumber)
	}
	if !integer && !plainNumber.MatchString(text) {
		return false
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok || !s.allows(typeNumber) && !(n.IsInt() && s.allows(typeInteger)) {
		return false
	}
	return (s.least == nil || n.Cmp(s.least) >= 0) && (s.strictLeast == nil || n.Cmp(s.strictLeast) > 0) &&
		(s.most == nil || n.Cmp(s.most) <= 0) && (s.strictMost == nil || n.Cmp(s.strictMost) < 0)
}

func (s *fastSchema) matchesArray(list *ast.Array) bool {
	n := list.Len()
	if n < s.minItems || s.maxItems >= 0 && n > s.maxItems {
		return false
	}
	for i := range n {
		item := list.Elem(i).Value
		if s.items == nil && !plainJSON(item, 1) || s.items != nil && !s.items.matches(item) {
			return false
		}
	}
	return true
}

func (s *fastSchema) matchesObject(o ast.Object) bool {
	n := o.Len()
	if n < s.minProperties || s.maxProperties >= 0 && n > s.maxProperties {
		return false
	}
	for _, name := range s.required {
		if o.Get(name) == nil {
			return false
		}
	}
	known := 0
	for i := range s.properties {
		if value := o.Get(s.properties[i].name); value != nil {
			known++
			if !s.properties[i].schema.matches(value.Value) {
				return false
			}
		}
	}
	return known == n || !s.closed && plainJSON(o, 0)
}

// plainJSON is whether a value that no schema speaks of is in JSON what it is here.
func plainJSON(v ast.Value, depth int) bool {
	if depth > maxFastDepth {
		return false
	}
	switch v := v.(type) {
	case ast.Null, ast.Boolean:
		return true
	case ast.String:
		return utf8.ValidString(string(v))
	case ast.Number:
		return json.Valid([]byte(v))
	case *ast.Array:
		for i := range v.Len() {
			if !plainJSON(v.Elem(i).Value, depth+1) {
				return false
			}
		}
		return true
	case ast.Object:
		return !v.Until(func(name, value *ast.Term) bool {
			_, ok := name.Value.(ast.String)
			return !ok || !plainJSON(name.Value, depth+1) || !plainJSON(value.Value, depth+1)
		})
	}
	return false
}

// fastFormats are those of the library's that most schemas name, as strict as they
// are there or stricter. A format that is not here is not plain.
var fastFormats = map[ast.String]func(string) bool{
	"email":     isMail,
	"idn-email": isMail,
	"uuid":      regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`).MatchString,
	"date":      func(s string) bool { _, err := time.Parse(time.DateOnly, s); return err == nil },
	"date-time": func(s string) bool { _, err := time.Parse(time.RFC3339, s); return err == nil },
}

func isMail(s string) bool { _, err := mail.ParseAddress(s); return err == nil }
