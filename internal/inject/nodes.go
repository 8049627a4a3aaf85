package inject

import (
	"cmp"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"
)

// update changes the node that held before so that it holds after. What is the
// same in both is not touched, so that its comments and style stay.
func update(n *yaml.Node, before, after any) {
	if reflect.DeepEqual(before, after) {
		return
	}
	oldMap, okOld := before.(Object)
	newMap, okNew := after.(Object)
	if okOld && okNew && n.Kind == yaml.MappingNode {
		updateMapping(n, oldMap, newMap)
		return
	}
	oldList, okOld := before.([]any)
	newList, okNew := after.([]any)
	if okOld && okNew && n.Kind == yaml.SequenceNode && len(newList) > 0 {
		updateSequence(n, oldList, newList)
		return
	}
	head, line, foot := n.HeadComment, n.LineComment, n.FootComment
	*n = *written(after)
	n.HeadComment, n.LineComment, n.FootComment = head, line, foot
}

func updateMapping(n *yaml.Node, before, after Object) {
	var content []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		old, was := before[key.Value]
		v, stays := after[key.Value]
		if was && !stays {
			continue
		}
		if was {
			update(value, old, v)
		}
		content = append(content, key, value)
	}
	for _, k := range inOrder(after) {
		if _, was := before[k]; !was {
			n.Style = 0 // what grows gets lines
			content = append(content, written(k), written(after[k]))
		}
	}
	n.Content = content
}

// updateSequence finds the items again by their names, or by their places where
// nothing came or went.
func updateSequence(n *yaml.Node, before, after []any) {
	match := func(int) int { return -1 }
	if byName := places(before); byName != nil && places(after) != nil {
		match = func(i int) int {
			if at, ok := byName[textAt(object(after[i]), "name")]; ok {
				return at
			}
			return -1
		}
	} else if len(before) == len(after) {
		match = func(i int) int { return i }
	}
	if len(n.Content) == 0 {
		n.Style = 0
	}
	content := make([]*yaml.Node, len(after))
	for i, v := range after {
		if at := match(i); at >= 0 {
			content[i] = n.Content[at]
			update(content[i], before[at], v)
		} else {
			content[i] = written(v)
		}
	}
	n.Content = content
}

// places maps the items' names to where they are; nil if not all have one of
// their own.
func places(list []any) map[string]int {
	out := map[string]int{}
	for i, item := range list {
		name := textAt(object(item), "name")
		if _, twice := out[name]; name == "" || twice {
			return nil
		}
		out[name] = i
	}
	return out
}

// written is a value as a new node, with its keys in the usual order.
func written(v any) *yaml.Node {
	n := new(yaml.Node)
	switch v := v.(type) {
	case Object:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		for _, k := range inOrder(v) {
			n.Content = append(n.Content, written(k), written(v[k]))
		}
	case []any:
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		for _, item := range v {
			n.Content = append(n.Content, written(item))
		}
	default:
		_ = n.Encode(v) // scalars encode
	}
	return n
}

// usual is the order in which people write what this package adds.
var usual = []string{"apiVersion", "kind", "metadata", "name", "image", "imagePullPolicy", "restartPolicy", "command", "args", "env", "ports",
	"startupProbe", "readinessProbe", "livenessProbe", "lifecycle", "resources", "requests", "securityContext", "volumeMounts", "initContainers", "containers"}

func inOrder(o Object) []string {
	rank := func(k string) int {
		if i := slices.Index(usual, k); i >= 0 {
			return i
		}
		return len(usual)
	}
	list := keys(o)
	slices.SortStableFunc(list, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	return list
}

// layout is how the author writes: indented by how much, lists or not, and whether
// the document begins with a marker.
type layout struct {
	indent          int
	compact, marked bool
}

func layoutOf(n *yaml.Node) layout {
	indent, compact := 2, false
	var found, seen bool
	var walk func(*yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Style&yaml.FlowStyle != 0 {
			return
		}
		if n.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(n.Content); i += 2 {
				key, value := n.Content[i], n.Content[i+1]
				if value.Line <= key.Line || value.Style&yaml.FlowStyle != 0 {
					continue
				}
				if value.Kind == yaml.MappingNode && !found && value.Column > key.Column {
					indent, found = value.Column-key.Column, true
				}
				if value.Kind == yaml.SequenceNode && !seen {
					compact, seen = value.Column == key.Column, true
				}
			}
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	walk(n)
	return layout{indent: min(indent, 9), compact: compact}
}

func hasAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, hasAlias)
}

// expand writes out what aliases and merge keys stand for: to change one place
// must not change the others.
func expand(n *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		head, line, foot := n.HeadComment, n.LineComment, n.FootComment
		*n = *copied(n.Alias)
		n.HeadComment, n.LineComment, n.FootComment = head, line, foot
	}
	for _, c := range n.Content {
		expand(c)
	}
	n.Anchor = ""
	if n.Kind == yaml.MappingNode {
		unmerge(n)
	}
}

// unmerge replaces `<<` by the keys it brings. Those written in the mapping win,
// then those of the earlier source.
func unmerge(n *yaml.Node) {
	var content, sources []*yaml.Node
	has := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key, value := n.Content[i], n.Content[i+1]; key.Tag != "!!merge" {
			content = append(content, key, value)
			has[key.Value] = true
		} else if value.Kind == yaml.SequenceNode {
			sources = append(sources, value.Content...)
		} else {
			sources = append(sources, value)
		}
	}
	for _, source := range sources {
		for i := 0; i+1 < len(source.Content); i += 2 {
			if key := source.Content[i]; !has[key.Value] {
				content = append(content, key, source.Content[i+1])
				has[key.Value] = true
			}
		}
	}
	n.Content = content
}

func copied(n *yaml.Node) *yaml.Node {
	out := *n
	out.Content = nil
	for _, c := range n.Content {
		out.Content = append(out.Content, copied(c))
	}
	return &out
}
