package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Schema is a JSON Schema.
type Schema struct {
	Ref                  string     `json:"$ref"`
	Type                 Types      `json:"type"`
	Description          string     `json:"description"`
	Format               string     `json:"format"`
	Pattern              string     `json:"pattern"`
	Enum                 []string   `json:"enum"`
	Required             []string   `json:"required"`
	Properties           Properties `json:"properties"`
	AdditionalProperties Additional `json:"additionalProperties"`
	PropertyNames        *Schema    `json:"propertyNames"`
	Items                *Schema    `json:"items"`
	AllOf                []*Schema  `json:"allOf"`
	Minimum              *float64   `json:"minimum"`
	Maximum              *float64   `json:"maximum"`
	MinLength            int        `json:"minLength"`
	MaxLength            *int       `json:"maxLength"`
}

// Types are the allowed types; none allows all.
type Types []string

// UnmarshalJSON reads one type or several.
func (t *Types) UnmarshalJSON(raw []byte) error {
	if raw[0] == '[' {
		return json.Unmarshal(raw, (*[]string)(t))
	}
	*t = Types{""}
	return json.Unmarshal(raw, &(*t)[0])
}

// Additional is additionalProperties: anything, nothing, or a schema.
type Additional struct {
	Closed bool
	Schema *Schema
}

// UnmarshalJSON reads false, true or a schema.
func (a *Additional) UnmarshalJSON(raw []byte) error {
	switch string(raw) {
	case "false":
		a.Closed = true
		return nil
	case "true":
		return nil
	}
	return strict(raw, &a.Schema)
}

// Properties are in the document's order.
type Properties []Property

// Property is one property.
type Property struct {
	Name   string
	Schema *Schema
}

// UnmarshalJSON reads an object.
func (p *Properties) UnmarshalJSON(raw []byte) error {
	var all map[string]*Schema
	if err := strict(raw, &all); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		*p = append(*p, Property{name.(string), all[name.(string)]})
	}
	return nil
}

// Get returns the schema of a property, or nil.
func (p Properties) Get(name string) *Schema {
	for _, property := range p {
		if property.Name == name {
			return property.Schema
		}
	}
	return nil
}

// Resolve follows a reference.
func (d *Document) Resolve(s *Schema) (*Schema, error) {
	if s.Ref == "" {
		return s, nil
	}
	found := d.Components.Schemas[nameOf(s.Ref, "schemas")]
	if found == nil {
		return nil, fmt.Errorf("openapi: %s is not there", s.Ref)
	}
	return found, nil
}

// Validate names the first thing that is wrong, by its path in the value.
func (d *Document) Validate(s *Schema, value []byte) error {
	if !json.Valid(value) {
		return errors.New("openapi: not JSON")
	}
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return fmt.Errorf("openapi: %w", err)
	}
	return d.validate(s, "$", v)
}

func (d *Document) validate(s *Schema, at string, v any) error {
	s, err := d.Resolve(s)
	if err != nil {
		return err
	}
	for _, part := range s.AllOf {
		if err := d.validate(part, at, v); err != nil {
			return err
		}
	}
	if len(s.Type) > 0 && !slices.ContainsFunc(s.Type, func(t string) bool { return hasType(v, t) }) {
		return fmt.Errorf("%s is %v, not %v", at, v, s.Type)
	}
	switch v := v.(type) {
	case string:
		return s.checkText(at, v)
	case json.Number:
		return s.checkNumber(at, v)
	case []any:
		for n, item := range v {
			if s.Items == nil {
				break
			}
			if err := d.validate(s.Items, fmt.Sprintf("%s[%d]", at, n), item); err != nil {
				return err
			}
		}
	case map[string]any:
		return d.validateObject(s, at, v)
	}
	return nil
}

func hasType(v any, name string) bool {
	switch v := v.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case json.Number:
		_, err := v.Int64()
		return name == "number" || name == "integer" && err == nil
	case []any:
		return name == "array"
	}
	return name == "object"
}

var uuids = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func (s *Schema) checkText(at, v string) error {
	var err error
	switch s.Format {
	case "":
	case "date-time":
		_, err = time.Parse(time.RFC3339, v)
	case "date":
		_, err = time.Parse(time.DateOnly, v)
	case "uuid":
		if !uuids.MatchString(v) {
			err = fmt.Errorf("%q is no UUID", v)
		}
	default:
		err = fmt.Errorf("the format %s is not known", s.Format)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", at, err)
	case len(s.Enum) > 0 && !slices.Contains(s.Enum, v):
		return fmt.Errorf("%s is %q, not one of %v", at, v, s.Enum)
	case len(v) < s.MinLength || s.MaxLength != nil && len([]rune(v)) > *s.MaxLength:
		return fmt.Errorf("%s has the wrong length", at)
	case s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v):
		return fmt.Errorf("%s is %q, which does not match %s", at, v, s.Pattern)
	}
	return nil
}

func (s *Schema) checkNumber(at string, v json.Number) error {
	n, err := v.Float64()
	if err != nil || s.Minimum != nil && n < *s.Minimum || s.Maximum != nil && n > *s.Maximum {
		return fmt.Errorf("%s is %s, which is out of range", at, v)
	}
	return nil
}

func (d *Document) validateObject(s *Schema, at string, v map[string]any) error {
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return fmt.Errorf("%s.%s is missing", at, name)
		}
	}
	for name, value := range v {
		if s.PropertyNames != nil {
			if err := d.validate(s.PropertyNames, at+"."+name+" (name)", name); err != nil {
				return err
			}
		}
		schema := s.Properties.Get(name)
		if schema == nil {
			schema = s.AdditionalProperties.Schema
		}
		if schema == nil && s.AdditionalProperties.Closed {
			return fmt.Errorf("%s.%s is not in the document", at, name)
		}
		if schema == nil {
			continue
		}
		if err := d.validate(schema, at+"."+name, value); err != nil {
			return err
		}
	}
	return nil
}

// Check returns how an answer to a request differs from the document: operation, status,
// media type, headers, body. known is false, without an error, for a path that is not in
// the document and for 405.
func (d *Document) Check(req *http.Request, status int, header http.Header, body []byte) (known bool, err error) {
	template, op := d.Find(req.Method, req.URL.Path)
	if op == nil {
		return false, nil
	}
	where := fmt.Sprintf("openapi: %s %s, status %d", req.Method, template, status)
	response := op.Responses[strconv.Itoa(status)]
	if response == nil || response.Ref != "" {
		return true, fmt.Errorf("%s is not in the document: %s", where, body)
	}
	if err := d.checkAnswer(response, req.Method, header, body); err != nil {
		return true, fmt.Errorf("%s: %w: %s", where, err, body)
	}
	return true, nil
}

// CheckDefault also takes answers of the server in front.
func (d *Document) CheckDefault(req *http.Request, status int, header http.Header, body []byte) (
	known bool, err error) {
	known, err = d.Check(req, status, header, body)
	if err == nil {
		return known, nil
	}
	_, op := d.Find(req.Method, req.URL.Path)
	if response := op.Responses["default"]; response != nil &&
		d.checkAnswer(response, req.Method, header, body) == nil {
		return true, nil
	}
	return known, err
}

func (d *Document) checkAnswer(r *Response, method string, header http.Header, body []byte) error {
	for name, h := range r.Headers {
		if h.Required && header.Get(name) == "" {
			return fmt.Errorf("the header %s is missing", name)
		}
	}
	if method == http.MethodHead {
		return nil
	}
	kind := header.Get("Content-Type")
	for media, content := range r.Content {
		if media == kind || media == "application/json" && kind == "application/json; charset=utf-8" {
			if content.Schema == nil || media != "application/json" {
				return nil
			}
			return d.Validate(content.Schema, body)
		}
	}
	if len(r.Content) > 0 {
		return fmt.Errorf("the media type is %q", kind)
	}
	if len(body) > 0 {
		return fmt.Errorf("there is a body")
	}
	return nil
}
