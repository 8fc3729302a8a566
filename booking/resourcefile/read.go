package resourcefile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/booking-platform/booking-platform/booking"
)

// MaxSize is how large a file can be, in bytes.
const MaxSize = 1 << 20

// Read reads the resources of a file in YAML or JSON: one, or a list, or several
// documents of either. Each is as [booking.Store.ApplyResource] takes it: what the file
// leaves out is its default, and Active is true. The error is [Problems]: everything that
// is wrong, as far as a file alone can tell.
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

// check adds what the library says of a resource, for the fields that nothing has been
// said of yet.
func (r *reader) check(resource booking.Resource, path string, line int, fields []entry, before int) {
	var invalid *booking.ValidationError
	if !errors.As(resource.Validate(), &invalid) {
		return
	}
	for _, field := range slices.Sorted(maps.Keys(invalid.Fields)) {
		at := join(path, field)
		told := slices.ContainsFunc(r.problems[before:], func(p Problem) bool {
			return p.Path == at || strings.HasPrefix(p.Path, at+".") || strings.HasPrefix(p.Path, at+"[")
		})
		// A step that was left out follows a length that is wrong, and an offer's
		// currency is the resource's.
		derived := field == "slotStep" && invalid.Fields["slotLength"] != "" && !has(fields, field)
		if told || derived {
			continue
		}
		place := line
		for _, f := range fields {
			if f.key == field {
				place = f.line
			}
		}
		text := invalid.Fields[field]
		if field == "offers" {
			text = ": " + text
		}
		r.problems = append(r.problems, Problem{place, at, text})
	}
}

func has(fields []entry, key string) bool {
	return slices.ContainsFunc(fields, func(f entry) bool { return f.key == key })
}
