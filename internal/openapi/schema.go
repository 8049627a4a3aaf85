package openapi

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A schema of the document becomes one of JSON Schema draft 7 that stands alone:
//
//   - References are written out. One that comes back to itself becomes a member
//     of the schema's own `definitions`; so does every one, where a schema would
//     grow beyond inlineNodes.
//   - Names that a schema does not know are refused, although the document's
//     dialect lets them pass, unless it says additionalProperties. What an object
//     may have is gathered over everything that applies to it in place (allOf,
//     anyOf, …), as JSON Schema's unevaluatedProperties does.
//   - Properties that are readOnly are none of a request's.
//   - What draft 7 lacks is written in its words or is a Loss.
const (
	inlineNodes = 2_000
	schemaNodes = 20_000
	totalNodes  = 500_000
	schemaDepth = 64
)

var (
	errSchemaSize  = errors.New("larger than the bounds when its references are written out")
	errSchemaDepth = fmt.Errorf("deeper than %d levels", schemaDepth)
	errInPlace     = errors.New("it refers to itself in place, so no value ends it")
)

// schema translates the schema at a place. False: it could not be, and the loss
// has been told.
func (t *translation) schema(at place) (any, bool) {
	before := len(t.report.Losses)
	var err error
	for _, c := range []*conversion{{limit: inlineNodes}, {limit: schemaNodes, named: true}} {
		c.translation, c.definitions, c.names, c.inPlace = t, map[string]any{}, map[string]string{}, map[string]bool{}
		var out any
		if out, err = c.root(at); err == nil {
			t.spent += c.nodes
			return out, true
		}
		t.report.Losses = t.report.Losses[:before]
	}
	t.report.lose("schema", Wider, at, "the schema is not carried over: %v", err)
	return nil, false
}

// conversion is the state of translating one schema that is to stand alone.
type conversion struct {
	*translation
	limit       int
	named       bool // every reference below the root goes to definitions
	nodes       int
	depth       int
	definitions map[string]any
	names       map[string]string // definition by place
	inPlace     map[string]bool   // references followed without going down
	tested      bool              // within `not` or `if`, where to refuse more is to accept more
	negated     bool
}

func (c *conversion) root(at place) (any, error) {
	out, err := c.whole(at)
	if object, ok := out.(map[string]any); ok && len(c.definitions) > 0 {
		object["definitions"] = c.definitions
	}
	return out, err
}

// whole translates what applies to one value, all of it, and so can say which
// names are unknown.
func (c *conversion) whole(p place) (any, error) {
	outer := c.inPlace
	c.inPlace = map[string]bool{}
	defer func() { c.inPlace = outer }()
	part, err := c.part(p)
	if err != nil {
		return nil, err
	}
	object, ok := part.schema.(map[string]any)
	if !ok {
		return part.schema, nil
	}
	group := gather(object)
	hidden := slices.DeleteFunc(part.readOnly, func(name string) bool { return group.names[name] })
	unrequire(object, hidden)
	switch {
	case c.tested:
	case !group.open && (len(group.names) > 0 || len(hidden) > 0):
		closeTo(object, group)
	case group.open:
		for _, name := range hidden {
			child(object, "properties")[name] = map[string]any{"not": map[string]any{}}
		}
	}
	return object, nil
}

// part is what one schema says of a value to which others may apply too.
type part struct {
	schema   any
	readOnly []string // properties left out
}

func (c *conversion) part(p place) (part, error) {
	c.depth++
	defer func() { c.depth-- }()
	c.nodes++
	switch {
	case c.depth > schemaDepth:
		return part{}, errSchemaDepth
	case c.nodes > c.limit || c.spent+c.nodes > totalNodes:
		return part{}, errSchemaSize
	}
	object, ok := p.value.(map[string]any)
	if !ok {
		if _, isBool := p.value.(bool); isBool {
			return part{schema: p.value}, nil
		}
		return part{schema: map[string]any{}}, nil
	}
	ref, isRef := object["$ref"].(string)
	if !isRef {
		return c.keywords(p)
	}
	target, err := c.follow(p.file, ref)
	if err != nil {
		return part{}, err
	}
	if c.inPlace[target.key()] {
		return part{}, fmt.Errorf("%s: %w", target, errInPlace)
	}
	c.inPlace[target.key()] = true
	defer delete(c.inPlace, target.key())
	out, err := c.part(target)
	if err != nil || !c.hasSiblings(p) {
		return out, err
	}
	// OpenAPI 3.1: what stands beside a reference holds as well.
	own, err := c.keywords(p)
	if err != nil {
		return part{}, err
	}
	list, _ := child(own.schema, "")["allOf"].([]any)
	child(own.schema, "")["allOf"] = append([]any{out.schema}, list...)
	merge(child(own.schema, ""))
	c.unevaluated(p, child(own.schema, ""))
	return part{own.schema, append(own.readOnly, out.readOnly...)}, nil
}

func (c *conversion) hasSiblings(p place) bool {
	if !c.is31 {
		return false
	}
	for name := range p.object() {
		if name != "$ref" && !slices.Contains(annotations, name) && !strings.HasPrefix(name, "x-") {
			return true
		}
	}
	return false
}

// below translates a schema that applies to a part of the value: a property, an
// item. Only here can a reference stay one.
func (c *conversion) below(p place) (any, error) {
	ref, ok := p.object()["$ref"].(string)
	if !ok || c.hasSiblings(p) {
		return c.whole(p)
	}
	target, err := c.follow(p.file, ref)
	if err != nil {
		return nil, err
	}
	if !c.named && !c.recursive(target) {
		return c.whole(target)
	}
	key := fmt.Sprint(target.key(), c.tested)
	name, known := c.names[key]
	if !known {
		name = c.newName(target)
		c.names[key] = name
		c.definitions[name] = nil // taken
		depth := c.depth
		c.depth = 0
		c.definitions[name], err = c.whole(target)
		c.depth = depth
	}
	c.nodes++
	return map[string]any{"$ref": "#/definitions/" + name}, err
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

func (c *conversion) newName(p place) string {
	base := p.pointer[strings.LastIndexByte(p.pointer, '/')+1:]
	if base = strings.Trim(notInName.ReplaceAllString(base, "-"), "-"); base == "" {
		base = "schema"
	}
	name := base
	for n := 2; ; n++ {
		if _, taken := c.definitions[name]; !taken {
			return name
		}
		name = fmt.Sprintf("%s-%d", base, n)
	}
}

// recursive says whether the schema at a place leads back to itself.
func (t *translation) recursive(target place) bool {
	key := target.key()
	if known, ok := t.reach[key]; ok {
		return known
	}
	if t.reach == nil {
		t.reach, t.edges = map[string]bool{}, map[string][]place{}
	}
	seen := map[string]bool{}
	queue := slices.Clone(t.targets(target))
	for len(queue) > 0 && !seen[key] {
		next := queue[0]
		queue = queue[1:]
		if !seen[next.key()] {
			seen[next.key()] = true
			queue = append(queue, t.targets(next)...)
		}
	}
	t.reach[key] = seen[key]
	return seen[key]
}

// targets are the places that the references within a schema lead to.
func (t *translation) targets(from place) []place {
	if known, ok := t.edges[from.key()]; ok {
		return known
	}
	out := map[string]place{}
	var walk func(any)
	walk = func(x any) {
		switch x := x.(type) {
		case map[string]any:
			if ref, ok := x["$ref"].(string); ok {
				if p, err := t.follow(from.file, ref); err == nil {
					out[p.key()] = p
				}
			}
			for _, v := range x {
				walk(v)
			}
		case []any:
			for _, v := range x {
				walk(v)
			}
		}
	}
	walk(from.value)
	t.edges[from.key()] = slices.Collect(maps.Values(out))
	return t.edges[from.key()]
}
