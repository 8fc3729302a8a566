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

	"go.yaml.in/yaml/v3"
)

// documents parses a file into one tree per document. JSON has its own parser, because
// YAML does not allow some of its escapes and tabs.
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

// jsonTree builds nodes from the tokens of valid JSON.
type jsonTree struct {
	dec  *json.Decoder
	data []byte
	// line is the line of the offset at.
	line int
	at   int64
}

// here sets the line of the token that was just read. No token contains a line break.
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
