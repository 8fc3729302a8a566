package resourcefile

import (
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/booking-platform/booking-platform/booking"
)

// Write writes YAML: one resource as a mapping, several as a list. [Read] returns them
// again, without ids and times.
func Write(w io.Writer, resources ...booking.Resource) error {
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	list := make([]*yaml.Node, 0, len(resources))
	for _, r := range resources {
		list = append(list, mapping(resourceFields(&r)))
	}
	var err error
	if len(list) == 1 {
		err = enc.Encode(list[0])
	} else {
		err = enc.Encode(&yaml.Node{Kind: yaml.SequenceNode, Content: list})
	}
	if err != nil {
		return fmt.Errorf("write resources: %w", err)
	}
	return enc.Close()
}

func mapping(fields []field) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range fields {
		if value := f.write(); value != nil {
			n.Content = append(n.Content, textNode(f.key), value)
		}
	}
	return n
}

// textNode quotes text that would be read as something else.
func textNode(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	if strings.ContainsAny(s, "\r\t\u0085\u2028\u2029\ufeff") || strings.HasPrefix(s, "\n") ||
		strings.HasPrefix(s, " ") {
		// A block of lines would not keep these.
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

func quoted(s string) *yaml.Node {
	n := textNode(s)
	n.Style = yaml.DoubleQuotedStyle
	return n
}

func plainNode(tag string, value any) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: fmt.Sprint(value)}
}
