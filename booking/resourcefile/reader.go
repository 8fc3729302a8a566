package resourcefile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNodes bounds what a file can grow to by aliases that repeat aliases.
const maxNodes = 200_000

// reader walks through a tree and collects everything that is wrong.
type reader struct {
	problems Problems
	nodes    int
}

func (r *reader) add(n *yaml.Node, path, text string) {
	r.problems = append(r.problems, Problem{n.Line, path, text})
}

// node follows an alias; false when there have been too many.
func (r *reader) node(n *yaml.Node) (*yaml.Node, bool) {
	if r.nodes++; r.nodes == maxNodes {
		r.problems = append(r.problems, Problem{n.Line, "", "repeats too much by aliases"})
	}
	// An alias leads to what it stands for, and never to another alias.
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n, r.nodes < maxNodes
}

// entry is a field of an object.
type entry struct {
	key  string
	line int
	// value is the field's; it is never an alias.
	value *yaml.Node
}

// object are the fields of a mapping, each once; known, where there are any, are all that
// it may have.
func (r *reader) object(n *yaml.Node, path string, known ...string) []entry {
	n, ok := r.node(n)
	if !ok {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.add(n, path, "must have fields")
		return nil
	}
	var out []entry
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, ok := r.node(n.Content[i])
		value, also := r.node(n.Content[i+1])
		if !ok || !also {
			return nil
		}
		at := join(path, key.Value)
		switch {
		case key.Kind != yaml.ScalarNode:
			r.add(key, path, "has a field without a name")
		case len(known) > 0 && !slices.Contains(known, key.Value):
			r.add(key, at, "is unknown; known are "+strings.Join(known, ", "))
		case seen[key.Value]:
			r.add(key, at, "is there twice")
		case value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null":
			r.add(key, at, "has no value; leave it out where none is meant")
		default:
			out = append(out, entry{key.Value, key.Line, value})
		}
		seen[key.Value] = true
	}
	return out
}

// list are the items of a sequence.
func (r *reader) list(n *yaml.Node, path string) []*yaml.Node {
	n, ok := r.node(n)
	if !ok {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.add(n, path, "must be a list")
		return nil
	}
	return n.Content
}

// scalar is the text of a value as it stands in the file, with one of the tags.
func (r *reader) scalar(n *yaml.Node, path, want string, tags ...string) (string, bool) {
	n, ok := r.node(n)
	if !ok {
		return "", false
	}
	if n.Kind != yaml.ScalarNode || !slices.Contains(tags, n.ShortTag()) {
		r.add(n, path, want)
		return "", false
	}
	return n.Value, true
}

func (r *reader) text(n *yaml.Node, path string) string {
	text, _ := r.scalar(n, path, "must be text; put it in quotes", "!!str")
	return text
}

func (r *reader) bool(n *yaml.Node, path string) bool {
	const want = "must be true or false"
	text, ok := r.scalar(n, path, want, "!!bool")
	value, err := strconv.ParseBool(strings.ToLower(text))
	if ok && err != nil {
		r.add(n, path, want)
	}
	return value
}

func (r *reader) number(n *yaml.Node, path string) int {
	const want = "must be a whole number"
	text, ok := r.scalar(n, path, want, "!!int")
	value, err := strconv.Atoi(text)
	if ok && err != nil {
		r.add(n, path, want)
	}
	return value
}

func join(path, key string) string {
	// What a file has for a key is shown as far as it can be read.
	if len(key) > 64 {
		key = key[:64] + "…"
	}
	if key != strings.ToValidUTF8(key, "") ||
		strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		key = fmt.Sprintf("%q", key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
