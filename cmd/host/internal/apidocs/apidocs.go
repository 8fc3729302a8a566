// Package apidocs renders the OpenAPI document of the API as one page, for people.
//
// The usual viewers are scripts from elsewhere, which the host's Content-Security-Policy
// refuses and which a page without secrets does not need. So the page is a template: no
// script, no style of its own, and readable on a phone.
package apidocs

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/booking-platform/booking-platform/internal/openapi"
)

//go:embed page.html
var page string

// New returns the page of a document. prefix is the path below which the files of package
// pages are.
func New(document []byte, prefix string) (http.Handler, error) {
	doc, err := openapi.Parse(document)
	if err != nil {
		return nil, fmt.Errorf("apidocs: %w", err)
	}
	t, err := template.New("page").Funcs(template.FuncMap{"text": text, "type": typeOf}).Parse(page)
	if err != nil {
		return nil, fmt.Errorf("apidocs: %w", err)
	}
	var html bytes.Buffer
	if err := t.Execute(&html, viewOf(doc, prefix)); err != nil {
		return nil, fmt.Errorf("apidocs: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(html.Bytes())
	}), nil
}

type view struct {
	Prefix  string
	Info    openapi.Info
	Tags    []tag
	Schemas []schema
}

type tag struct {
	openapi.Tag
	Operations []operation
}

type operation struct {
	*openapi.Operation
	Method, Path, Access string
	Body                 *openapi.Schema
	Examples             []string
	Answers              []answer
}

type answer struct {
	Status, Description string
	Schema              *openapi.Schema
	Media               string
	Codes               []string
}

type schema struct {
	Name string
	*openapi.Schema
}

func viewOf(doc *openapi.Document, prefix string) view {
	v := view{Prefix: prefix, Info: doc.Info}
	for _, t := range doc.Tags {
		group := tag{Tag: t}
		for path, methods := range doc.Paths {
			for method, op := range methods {
				if slices.Contains(op.Tags, t.Name) {
					group.Operations = append(group.Operations, operationOf(strings.ToUpper(method), path, op))
				}
			}
		}
		slices.SortFunc(group.Operations, func(a, b operation) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
		})
		if len(group.Operations) > 0 {
			v.Tags = append(v.Tags, group)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		v.Schemas = append(v.Schemas, schema{name, doc.Components.Schemas[name]})
	}
	return v
}

func operationOf(method, path string, op *openapi.Operation) operation {
	o := operation{Operation: op, Method: method, Path: path, Access: access(op)}
	if op.RequestBody != nil {
		content := op.RequestBody.Content["application/json"]
		o.Body = content.Schema
		for _, name := range slices.Sorted(maps.Keys(content.Examples)) {
			var indented bytes.Buffer
			if json.Indent(&indented, content.Examples[name].Value, "", "  ") == nil {
				o.Examples = append(o.Examples, indented.String())
			}
		}
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		r := op.Responses[status]
		if status == "default" {
			status = "other"
		}
		a := answer{Status: status, Description: r.Description}
		for media, content := range r.Content {
			a.Media, a.Schema = media, content.Schema
			for _, part := range content.Schema.AllOf {
				if code := part.Properties.Get("error"); code != nil {
					a.Codes = append(a.Codes, code.Enum...)
				}
			}
		}
		o.Answers = append(o.Answers, a)
	}
	return o
}

// access says who may call an operation.
func access(op *openapi.Operation) string {
	if len(op.Security) == 0 {
		return "everyone"
	}
	with := "a session"
	if len(op.Roles) > 0 {
		with = "a session with the role " + strings.Join(op.Roles, " or ")
	}
	for _, way := range op.Security {
		if _, ok := way["ownerToken"]; ok {
			return "the owner by token, or " + with
		}
	}
	return with
}

// text renders the code marks of Markdown.
func text(s string) template.HTML {
	var b strings.Builder
	for n, part := range strings.Split(s, "`") {
		part = template.HTMLEscapeString(part)
		if n%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		b.WriteString(part)
	}
	return template.HTML(b.String()) // #nosec G203 -- every part is escaped
}

// typeOf describes a schema in a few words, with links to named ones.
func typeOf(s *openapi.Schema) template.HTML {
	if s == nil {
		return ""
	}
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		name = template.HTMLEscapeString(name)
		return template.HTML(`<a href="#` + name + `">` + name + `</a>`) // #nosec G203 -- escaped
	}
	if len(s.AllOf) > 0 {
		return typeOf(s.AllOf[0])
	}
	words := strings.Join(s.Type, " or ")
	switch {
	case s.Items != nil:
		return template.HTML(template.HTMLEscapeString(words)+" of ") + typeOf(s.Items) // #nosec G203 -- escaped
	case s.Format != "":
		words += ", " + s.Format
	case len(s.Enum) > 0:
		words = "`" + strings.Join(s.Enum, "`, `") + "`"
	}
	return text(words)
}
