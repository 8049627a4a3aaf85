package policy

import (
	"net/url"
	"strconv"
	"strings"
)

// The keywords of draft 4 to 7 that apply a schema to the same place of the
// document. A circle of these and $ref alone never ends; one that passes through
// any other keyword ends with the document.
var (
	inPlaceOne  = []string{"not", "if", "then", "else"}
	inPlaceList = []string{"allOf", "anyOf", "oneOf"}
	inPlaceMap  = []string{"dependencies"}
)

// circles walks a schema's in-place edges depth first.
type circles struct {
	root     any
	state    map[string]visit // by the $ref that led there
	nestedID bool             // some schema below the root moves what "#" means
}

type visit uint8

const (
	unseen visit = iota
	open         // on the way from the root to here: meeting it again is a circle
	closed
)

// checkCircles starts from every $ref in the document, wherever it stands.
func checkCircles(root any) error {
	c := &circles{root: root, state: map[string]visit{}}
	if err := c.everywhere(root); err != nil {
		return err
	}
	if c.nestedID && len(c.state) > 0 {
		return errNestedID
	}
	return nil
}

func (c *circles) everywhere(x any) error {
	switch x := x.(type) {
	case map[string]any:
		if ref, ok := x[refKey].(string); ok {
			if err := c.follow(ref); err != nil {
				return err
			}
		}
		for _, value := range x {
			c.nestedID = c.nestedID || hasID(value)
			if err := c.everywhere(value); err != nil {
				return err
			}
		}
	case []any:
		for _, value := range x {
			c.nestedID = c.nestedID || hasID(value)
			if err := c.everywhere(value); err != nil {
				return err
			}
		}
	}
	return nil
}

func hasID(x any) bool {
	schema, _ := x.(map[string]any)
	_, draft6 := schema["$id"].(string)
	_, draft4 := schema["id"].(string)
	return draft6 || draft4
}

func (c *circles) follow(ref string) error {
	switch c.state[ref] {
	case open:
		return errCircularRef
	case closed:
		return nil
	}
	c.state[ref] = open
	err := c.inPlace(lookup(c.root, ref))
	c.state[ref] = closed
	return err
}

func (c *circles) inPlace(x any) error {
	schema, ok := x.(map[string]any)
	if !ok {
		return nil
	}
	if ref, ok := schema[refKey].(string); ok {
		if err := c.follow(ref); err != nil {
			return err
		}
	}
	var next []any
	for _, name := range inPlaceOne {
		next = append(next, schema[name])
	}
	for _, name := range inPlaceList {
		list, _ := schema[name].([]any)
		next = append(next, list...)
	}
	for _, name := range inPlaceMap {
		values, _ := schema[name].(map[string]any)
		for _, value := range values {
			next = append(next, value)
		}
	}
	for _, value := range next {
		if err := c.inPlace(value); err != nil {
			return err
		}
	}
	return nil
}

// lookup resolves a JSON pointer in a URI fragment (RFC 6901, 6); nil where it
// leads nowhere, which the schema library reports itself.
func lookup(root any, ref string) any {
	pointer, err := url.PathUnescape(strings.TrimPrefix(ref, "#"))
	if err != nil || pointer == "" {
		return root
	}
	at := root
	for name := range strings.SplitSeq(pointer[1:], "/") {
		name = strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
		switch x := at.(type) {
		case map[string]any:
			at = x[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(x) {
				return nil
			}
			at = x[i]
		default:
			return nil
		}
	}
	return at
}
