package openapi

import (
	"fmt"
	"net/http"
	"strconv"
)

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
