// Package openapi reads the OpenAPI document of package api, for the page that the host
// renders of it and for tests that check real answers against it.
//
// It knows the part of OpenAPI 3.1 and JSON Schema that the document uses, and refuses
// anything else, which would be a rule that is not checked.
package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Document is an OpenAPI document. Only references to headers and responses are resolved.
type Document struct {
	OpenAPI    string                           `json:"openapi"`
	Info       Info                             `json:"info"`
	Servers    []Server                         `json:"servers"`
	Tags       []Tag                            `json:"tags"`
	Paths      map[string]map[string]*Operation `json:"paths"`
	Components struct {
		SecuritySchemes map[string]SecurityScheme `json:"securitySchemes"`
		Headers         map[string]*Header        `json:"headers"`
		Responses       map[string]*Response      `json:"responses"`
		Schemas         map[string]*Schema        `json:"schemas"`
	} `json:"components"`
}

// Info is the head of a document.
type Info struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Description string `json:"description"`
}

// Server is where the paths begin.
type Server struct {
	URL string `json:"url"`
}

// Tag is a group of operations.
type Tag struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// SecurityScheme is one way to be allowed an operation.
type SecurityScheme struct {
	Type        string `json:"type"`
	Scheme      string `json:"scheme"`
	In          string `json:"in"`
	Name        string `json:"name"`
	Description string `json:"description"`
}

// Operation is one method of one path.
type Operation struct {
	OperationID string                `json:"operationId"`
	Tags        []string              `json:"tags"`
	Summary     string                `json:"summary"`
	Description string                `json:"description"`
	Security    []map[string][]string `json:"security"`
	Roles       []string              `json:"x-roles"`
	Parameters  []Parameter           `json:"parameters"`
	RequestBody *RequestBody          `json:"requestBody"`
	Responses   map[string]*Response  `json:"responses"`
}

// Success is the status when nothing is wrong.
func (o *Operation) Success() string {
	for _, status := range []string{"200", "201"} {
		if o.Responses[status] != nil {
			return status
		}
	}
	return ""
}

// Parameter is a parameter of an operation.
type Parameter struct {
	Name        string  `json:"name"`
	In          string  `json:"in"`
	Description string  `json:"description"`
	Required    bool    `json:"required"`
	Schema      *Schema `json:"schema"`
	Example     any     `json:"example"`
}

// RequestBody is the body of an operation.
type RequestBody struct {
	Required bool                 `json:"required"`
	Content  map[string]MediaType `json:"content"`
}

// MediaType is a body in one media type.
type MediaType struct {
	Schema   *Schema            `json:"schema"`
	Example  json.RawMessage    `json:"example"`
	Examples map[string]Example `json:"examples"`
}

// Example is one example of a body.
type Example struct {
	Summary string          `json:"summary"`
	Value   json.RawMessage `json:"value"`
}

// Response is an answer with one status.
type Response struct {
	Ref         string               `json:"$ref"`
	Description string               `json:"description"`
	Headers     map[string]*Header   `json:"headers"`
	Content     map[string]MediaType `json:"content"`
}

// Header is a header of an answer.
type Header struct {
	Ref         string  `json:"$ref"`
	Description string  `json:"description"`
	Required    bool    `json:"required"`
	Schema      *Schema `json:"schema"`
}

// Parse returns an error for what the types here do not have, and for a reference to
// nothing.
func Parse(document []byte) (*Document, error) {
	d := &Document{}
	if err := strict(document, d); err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	responses := func(all map[string]*Response) error {
		for status, r := range all {
			if r.Ref != "" {
				if all[status] = d.Components.Responses[nameOf(r.Ref, "responses")]; all[status] == nil {
					return fmt.Errorf("openapi: %s is not there", r.Ref)
				}
			}
		}
		for _, r := range all {
			for name, h := range r.Headers {
				if h.Ref == "" {
					continue
				}
				if r.Headers[name] = d.Components.Headers[nameOf(h.Ref, "headers")]; r.Headers[name] == nil {
					return fmt.Errorf("openapi: %s is not there", h.Ref)
				}
			}
		}
		return nil
	}
	if err := responses(d.Components.Responses); err != nil {
		return nil, err
	}
	for _, methods := range d.Paths {
		for _, op := range methods {
			if err := responses(op.Responses); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

func nameOf(ref, kind string) string {
	name, _ := strings.CutPrefix(ref, "#/components/"+kind+"/")
	return name
}

func strict(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// Find returns a request's operation and its template. path is below the document's
// server; HEAD is GET.
func (d *Document) Find(method, path string) (template string, op *Operation) {
	if len(d.Servers) > 0 {
		path = "/" + strings.TrimPrefix(strings.TrimPrefix(path, strings.TrimSuffix(d.Servers[0].URL, "/")), "/")
	}
	if method == "HEAD" {
		method = "GET"
	}
	for candidate, methods := range d.Paths {
		o := methods[strings.ToLower(method)]
		// A template without variables wins.
		if o != nil && matches(candidate, path) && (op == nil || strings.Contains(template, "{")) {
			template, op = candidate, o
		}
	}
	return template, op
}

func matches(template, path string) bool {
	want, have := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return false
	}
	for n, part := range want {
		before, rest, variable := strings.Cut(part, "{")
		_, after, _ := strings.Cut(rest, "}")
		if !variable && part != have[n] {
			return false
		}
		if variable && (len(have[n]) <= len(before)+len(after) || !strings.HasPrefix(have[n], before) ||
			!strings.HasSuffix(have[n], after)) {
			return false
		}
	}
	return true
}
