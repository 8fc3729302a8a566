package resourcefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"go.yaml.in/yaml/v3"
)

func text(s *string) kind {
	return kind{
		func(r *reader, n *yaml.Node, path string) {
			*s, _ = r.scalar(n, path, "must be text; put it in quotes", "!!str")
		},
		func() *yaml.Node { return textNode(*s) },
	}
}

func boolean(b *bool) kind {
	return kind{
		func(r *reader, n *yaml.Node, path string) {
			const want = "must be true or false"
			text, ok := r.scalar(n, path, want, "!!bool")
			value, err := strconv.ParseBool(strings.ToLower(text))
			if ok && err != nil {
				r.add(n, path, want)
			}
			*b = value
		},
		func() *yaml.Node { return plainNode("!!bool", *b) },
	}
}

// negated is a boolean that the file says the other way round.
func negated(b *bool) kind {
	return kind{
		func(r *reader, n *yaml.Node, path string) {
			boolean(b).read(r, n, path)
			*b = !*b
		},
		func() *yaml.Node { return plainNode("!!bool", !*b) },
	}
}

func number(i *int) kind {
	return kind{
		func(r *reader, n *yaml.Node, path string) {
			const want = "must be a whole number"
			text, ok := r.scalar(n, path, want, "!!int")
			value, err := strconv.Atoi(text)
			if ok && err != nil {
				r.add(n, path, want)
			}
			*i = value
		},
		func() *yaml.Node { return plainNode("!!int", *i) },
	}
}

// positive is a number whose 0 means a default in package booking.
func positive(i *int) kind { return nonzero(number(i), i) }

func duration(d *time.Duration) kind {
	return kind{
		func(r *reader, n *yaml.Node, path string) {
			text, ok := r.scalar(n, path, "must be a duration such as 45m, 1h30m or 14d", "!!str")
			if !ok {
				return
			}
			var err error
			if *d, err = parseDuration(text); err != nil {
				r.add(n, path, err.Error())
			}
		},
		func() *yaml.Node { return textNode(formatDuration(*d)) },
	}
}

// length is a duration whose 0 means a default in package booking.
func length(d *time.Duration) kind { return nonzero(duration(d), d) }

// nonzero refuses 0 in a file: leave the field out for the default.
func nonzero[T int | time.Duration](k kind, value *T) kind {
	return kind{func(r *reader, n *yaml.Node, path string) {
		before := len(r.problems)
		k.read(r, n, path)
		if *value == 0 && len(r.problems) == before {
			r.add(n, path, "must not be 0; leave it out for the default")
		}
	}, k.write}
}

// amount is a decimal number with or without quotes, kept in minor units.
func amount(minor *int64, currency string) kind {
	return kind{
		func(r *reader, n *yaml.Node, path string) {
			example := booking.Money{Minor: 2500, Currency: currency}.Decimal()
			text, ok := r.scalar(n, path, fmt.Sprintf("must be an amount such as %q", example), "!!str", "!!int",
				"!!float")
			if !ok {
				return
			}
			m, err := booking.ParseMoney(text, currency)
			if err != nil {
				r.add(n, path, fmt.Sprintf("is %q, not an amount with the digits of its currency, such as %q", text,
					example))
			}
			*minor = m.Minor
		},
		func() *yaml.Node { return quoted(booking.Money{Minor: *minor, Currency: currency}.Decimal()) },
	}
}

// A day is 24 hours.
var units = []struct {
	name   string
	length time.Duration
}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}

// What the form allows adds up without overflow.
var durationForm = regexp.MustCompile(`^(?:(\d{1,5})d)?(?:(\d{1,7})h)?(?:(\d{1,8})m)?(?:(\d{1,9})s)?$`)

// parseDuration reads "45m", "1h30m" or "14d".
func parseDuration(text string) (time.Duration, error) {
	found := durationForm.FindStringSubmatch(text)
	if found == nil || text == "" {
		return 0, fmt.Errorf("is %q, not a duration such as 45m, 1h30m or 14d", text)
	}
	var sum time.Duration
	for i, unit := range units {
		n, _ := strconv.ParseInt(found[i+1], 10, 64)
		sum += time.Duration(n) * unit.length
	}
	return sum, nil
}

func formatDuration(d time.Duration) string {
	var out strings.Builder
	for _, unit := range units {
		if n := d / unit.length; n > 0 {
			fmt.Fprintf(&out, "%d%s", n, unit.name)
			d %= unit.length
		}
	}
	if out.Len() == 0 {
		return "0s"
	}
	return out.String()
}

// documents returns one tree per document. JSON has its own parser: YAML refuses some of
// its escapes and tabs.
func documents(data []byte) ([]*yaml.Node, error) {
	if begin := bytes.TrimSpace(data); len(begin) > 0 && (begin[0] == '{' || begin[0] == '[') && json.Valid(begin) {
		t := &jsonTree{dec: json.NewDecoder(bytes.NewReader(data)), data: data, line: 1}
		t.dec.UseNumber()
		n, err := t.value()
		return []*yaml.Node{n}, err
	}
	var out []*yaml.Node
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, yamlProblem(err)
		}
		if len(doc.Content) > 0 {
			out = append(out, doc.Content[0])
		}
	}
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): (.*)`)

func yamlProblem(err error) error {
	text := err.Error()
	if found := yamlLine.FindStringSubmatch(text); found != nil {
		line, _ := strconv.Atoi(found[1])
		return Problems{{Line: line, Text: "is not YAML: " + found[2]}}
	}
	return Problems{{Text: "is not YAML: " + strings.TrimPrefix(text, "yaml: ")}}
}

type jsonTree struct {
	dec  *json.Decoder
	data []byte
	// line is the line of the offset at.
	line int
	at   int64
}

// here sets the line of the last token. No token contains a line break.
func (t *jsonTree) here(n yaml.Node) *yaml.Node {
	t.line += bytes.Count(t.data[t.at:t.dec.InputOffset()], []byte{'\n'})
	t.at = t.dec.InputOffset()
	n.Line = t.line
	return &n
}

func (t *jsonTree) value() (*yaml.Node, error) {
	token, err := t.dec.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case string:
		return t.here(yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v}), nil
	case json.Number:
		tag := "!!int"
		if strings.ContainsAny(v.String(), ".eE") {
			tag = "!!float"
		}
		return t.here(yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: v.String()}), nil
	case bool:
		return t.here(yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v)}), nil
	case nil:
		return t.here(yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}), nil
	}
	n := t.here(yaml.Node{Kind: yaml.SequenceNode})
	if token == json.Delim('{') {
		n.Kind = yaml.MappingNode
	}
	for t.dec.More() {
		// Keys and values alternate.
		part, err := t.value()
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, part)
	}
	if _, err := t.dec.Token(); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	return n, nil
}
