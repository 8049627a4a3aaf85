package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Documents become plain values: map[string]any, []any, string, bool, nil, and
// json.Number for every number, so that none is rounded. A key given twice is
// refused, because which one counts depends on the reader; YAML's aliases unfold
// into a bounded number of nodes.
const (
	maxDepth = 128
	maxNodes = 2_000_000
)

var errTooLarge = fmt.Errorf("more than %d nodes", maxNodes)

// parse reads JSON or YAML. JSON is read as such where the text begins like it:
// JSON has escapes that YAML lacks.
func parse(text []byte) (any, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); bytes.HasPrefix(trimmed, []byte("{")) && json.Valid(trimmed) {
		d := json.NewDecoder(bytes.NewReader(trimmed))
		d.UseNumber()
		return parseJSON(d, maxDepth)
	}
	var node yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&node); err != nil {
		return nil, err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document")
	}
	left := maxNodes
	return parseYAML(&node, &left, maxDepth)
}

func parseJSON(d *json.Decoder, depth int) (any, error) {
	if depth == 0 {
		return nil, fmt.Errorf("deeper than %d levels", maxDepth)
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		object := map[string]any{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			name, _ := key.(string)
			if _, twice := object[name]; twice {
				return nil, fmt.Errorf("the key %q is given twice, byte %d", name, d.InputOffset())
			}
			if object[name], err = parseJSON(d, depth-1); err != nil {
				return nil, err
			}
		}
		_, err = d.Token()
		return object, err
	case json.Delim('['):
		list := []any{}
		for d.More() {
			item, err := parseJSON(d, depth-1)
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		_, err = d.Token()
		return list, err
	}
	return token, nil
}

func parseYAML(n *yaml.Node, left *int, depth int) (any, error) {
	if *left--; *left < 0 {
		return nil, errTooLarge
	}
	if depth == 0 { // also what ends an alias that contains itself
		return nil, fmt.Errorf("line %d: deeper than %d levels", n.Line, maxDepth)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return parseYAML(n.Content[0], left, depth)
	case yaml.AliasNode:
		return parseYAML(n.Alias, left, depth-1)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			v, err := parseYAML(item, left, depth-1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		return parseMapping(n, left, depth)
	case yaml.ScalarNode:
		return parseScalar(n)
	}
	return nil, fmt.Errorf("line %d: not a YAML value", n.Line)
}

func parseMapping(n *yaml.Node, left *int, depth int) (any, error) {
	object := make(map[string]any, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: a key is not text", key.Line)
		}
		if key.Tag == "!!merge" {
			return nil, fmt.Errorf("line %d: merge keys (<<) are not part of YAML 1.2; write the fields out", key.Line)
		}
		// As text, whatever it looks like: 200 and "200" are the same response.
		if _, twice := object[key.Value]; twice {
			return nil, fmt.Errorf("line %d: the key %q is given twice", key.Line, key.Value)
		}
		v, err := parseYAML(n.Content[i+1], left, depth-1)
		if err != nil {
			return nil, err
		}
		object[key.Value] = v
	}
	return object, nil
}

func parseScalar(n *yaml.Node) (any, error) {
	switch n.Tag {
	case "!!null":
		return nil, nil
	case "!!bool":
		var v bool
		err := n.Decode(&v)
		return v, err
	case "!!int", "!!float":
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, err
		}
		if f, ok := v.(float64); ok {
			if math.IsInf(f, 0) || math.IsNaN(f) {
				return nil, fmt.Errorf("line %d: %s is not a number in JSON", n.Line, n.Value)
			}
			return json.Number(strconv.FormatFloat(f, 'g', -1, 64)), nil
		}
		return json.Number(fmt.Sprint(v)), nil
	}
	return n.Value, nil // text, and what YAML alone takes for a date
}
