// Package resourcefile reads and writes resources as YAML or JSON files.
//
// The problem is that people write these files: a wrong unit or a misspelt field must not
// change what is sold. So durations are "1h30m", opening hours "9:00-12:30" and prices
// "25.00", with exactly the digits of their currency; an unknown field is an error; and
// all errors are reported at once, with line and field. docs/resources.md describes every
// field.
//
// The package does not use the database: [booking.Store.ApplyResource] compares with the
// existing resource and its bookings.
package resourcefile

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/booking-platform/booking-platform/booking"
	"go.yaml.in/yaml/v3"
)

// MaxSize is the largest file that is read, in bytes.
const MaxSize = 1 << 20

// Read reads YAML or JSON: one resource, a list, or several documents of either, each as
// [booking.Store.ApplyResource] takes it: fields left out have their defaults, and Active
// is true. The error is [Problems].
func Read(data []byte) ([]booking.Resource, error) {
	if len(data) > MaxSize {
		return nil, Problems{{Text: fmt.Sprintf("the file is larger than %d bytes", MaxSize)}}
	}
	docs, err := documents(data)
	var problems Problems
	if errors.As(err, &problems) {
		return nil, problems
	}
	if err != nil {
		return nil, Problems{{Text: err.Error()}}
	}
	r := &reader{}
	var nodes []*yaml.Node
	for _, doc := range docs {
		n, _ := r.node(doc)
		switch n.Kind {
		case yaml.SequenceNode:
			nodes = append(nodes, n.Content...)
		case yaml.MappingNode:
			nodes = append(nodes, n)
		default:
			r.add(n, "", "must be a resource or a list of resources")
		}
	}
	if len(nodes) == 0 && len(r.problems) == 0 {
		r.problems = Problems{{Text: "the file has no resource"}}
	}
	var out []booking.Resource
	lines := map[string]int{}
	for i, n := range nodes {
		if r.nodes >= maxNodes {
			break
		}
		resource := r.resource(n, fmt.Sprintf("resource %d", i+1))
		if line, twice := lines[resource.Slug]; twice && resource.Slug != "" {
			r.add(n, resource.Slug, fmt.Sprintf("is there twice, first in line %d", line))
		}
		lines[resource.Slug] = n.Line
		out = append(out, resource)
	}
	if len(r.problems) > 0 {
		r.problems.sort()
		return nil, r.problems
	}
	return out, nil
}

// maxNodes bounds what aliases of aliases can expand to.
const maxNodes = 200_000

type reader struct {
	problems Problems
	nodes    int
}

func (r *reader) add(n *yaml.Node, path, text string) {
	r.problems = append(r.problems, Problem{n.Line, path, text})
}

// node resolves an alias, and returns false after maxNodes nodes.
func (r *reader) node(n *yaml.Node) (*yaml.Node, bool) {
	if r.nodes++; r.nodes == maxNodes {
		r.problems = append(r.problems, Problem{n.Line, "", "repeats too much by aliases"})
	}
	// An alias never points to another alias.
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n, r.nodes < maxNodes
}

// entry is a key of a mapping and its value, never an alias.
type entry struct {
	key   string
	line  int
	value *yaml.Node
}

// object returns a mapping's entries. Without known, all keys are allowed.
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

func (r *reader) fields(n *yaml.Node, path string, fields []field, required ...string) []entry {
	known := make([]string, 0, len(fields))
	for _, f := range fields {
		known = append(known, f.key)
	}
	entries := r.object(n, path, known...)
	for _, e := range entries {
		fields[slices.Index(known, e.key)].read(r, e.value, join(path, e.key))
	}
	if n, ok := r.node(n); ok && n.Kind == yaml.MappingNode {
		for _, key := range required {
			if !has(entries, key) {
				r.add(n, join(path, key), "is required")
			}
		}
	}
	return entries
}

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

// scalar returns a value as written. Without one of the tags, the problem is want.
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

// Problems name the resource by its slug, else by name.
func (r *reader) resource(n *yaml.Node, name string) booking.Resource {
	before := len(r.problems)
	path := name
	if slug := peek(n, "slug"); slug != "" {
		path = join("", slug)
	}
	out := booking.Resource{}
	// Amounts are read by the currency, which may come after them.
	out.Price.Currency = strings.ToLower(peek(n, "currency"))
	entries := r.fields(n, path, resourceFields(&out), "currency", "price")
	if n, ok := r.node(n); ok && n.Kind == yaml.MappingNode {
		r.validate(out, path, n.Line, entries, before)
	}
	return out
}

func peek(n *yaml.Node, key string) string {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != key {
			continue
		}
		value := n.Content[i+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if value.Kind == yaml.ScalarNode && value.ShortTag() == "!!str" {
			return value.Value
		}
		return ""
	}
	return ""
}

// validate adds the problems that package booking finds, except in fields that have one.
func (r *reader) validate(resource booking.Resource, path string, line int, entries []entry, before int) {
	var invalid *booking.ValidationError
	if !errors.As(resource.Validate(), &invalid) {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(invalid.Fields)) {
		at := join(path, key)
		reported := slices.ContainsFunc(r.problems[before:], func(p Problem) bool {
			return p.Path == at || strings.HasPrefix(p.Path, at+".") || strings.HasPrefix(p.Path, at+"[")
		})
		// The default of slotStep is slotLength.
		derived := key == "slotStep" && invalid.Fields["slotLength"] != "" && !has(entries, key)
		if reported || derived {
			continue
		}
		place := line
		for _, e := range entries {
			if e.key == key {
				place = e.line
			}
		}
		text := invalid.Fields[key]
		if key == "offers" {
			text = ": " + text
		}
		r.problems = append(r.problems, Problem{place, at, text})
	}
}

func has(entries []entry, key string) bool {
	return slices.ContainsFunc(entries, func(e entry) bool { return e.key == key })
}

// A key that cannot be printed is quoted, a long one cut.
func join(path, key string) string {
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

// Problem is one mistake in a file.
type Problem struct {
	// Line counts from 1; 0 is unknown.
	Line int
	// Path is the field: "studio.offers[0].price".
	Path string
	// Text is a short phrase such as "is required".
	Text string
}

// Problems is the error of [Read]: all mistakes, by line.
type Problems []Problem

const maxListed = 100

// Error lists up to 100 problems, one per line.
func (p Problems) Error() string {
	lines := []string{fmt.Sprintf("%d problems", len(p))}
	if len(p) == 1 {
		lines[0] = "1 problem"
	}
	for i, problem := range p {
		if i == maxListed {
			lines = append(lines, "  …")
			break
		}
		text := strings.TrimSpace(problem.Path + " " + problem.Text)
		if strings.HasPrefix(problem.Text, ":") {
			text = problem.Path + problem.Text
		}
		if problem.Line > 0 {
			text = fmt.Sprintf("line %d: %s", problem.Line, text)
		}
		lines = append(lines, "  "+text)
	}
	return strings.Join(lines, "\n")
}

func (p Problems) sort() {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path))
	})
}
