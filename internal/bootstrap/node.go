package bootstrap

import (
	"strconv"

	"go.yaml.in/yaml/v3"
)

// at follows keys of mappings and indexes of lists; nil where there is nothing.
func at(n *yaml.Node, path ...string) *yaml.Node {
	for _, step := range path {
		n = step1(n, step)
	}
	return n
}

func step1(n *yaml.Node, step string) *yaml.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i < len(n.Content) {
			return n.Content[i]
		}
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

// named is the mapping in the list whose name that is.
func named(list *yaml.Node, name string) *yaml.Node {
	if list == nil {
		return nil
	}
	for _, item := range list.Content {
		if n := at(item, "name"); n != nil && n.Value == name {
			return item
		}
	}
	return nil
}

// node is a value as a node. A node within the value is put in as it is.
func node(v any) *yaml.Node {
	n := new(yaml.Node)
	_ = n.Encode(v) // maps, lists, text and numbers encode
	return n
}

// assign gives n another value and keeps its comments.
func assign(n *yaml.Node, v any) {
	head, line, foot := n.HeadComment, n.LineComment, n.FootComment
	*n = *node(v)
	n.HeadComment, n.LineComment, n.FootComment = head, line, foot
}

// set gives a key of a mapping its value; the key's comments stay.
func set(mapping *yaml.Node, key string, v any) {
	if old := at(mapping, key); old != nil {
		assign(old, v)
		return
	}
	mapping.Content = append(mapping.Content, node(key), node(v))
}

func drop(mapping *yaml.Node, key string) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			mapping.Content = append(mapping.Content[:i], mapping.Content[i+2:]...)
			return
		}
	}
}

func copied(n *yaml.Node) *yaml.Node {
	out := *n
	out.Content = nil
	for _, c := range n.Content {
		out.Content = append(out.Content, copied(c))
	}
	return &out
}

func add(list, item *yaml.Node) { list.Content = append(list.Content, item) }

// rename gives every key of that name, at any depth, another value.
func rename(n *yaml.Node, key, before, after string) {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == key && c.Value == before {
			c.Value = after
		}
		rename(c, key, before, after)
	}
}
