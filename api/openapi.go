package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// openAPI describes all routes without a prefix, by hand; tests compare it with the
// routes, types, codes and real answers. See docs/DECISIONS/0044.
//
//go:embed openapi.json
var openAPI []byte

// describe adds the prefix and version, and leaves out routes that this API does not
// have.
func (a *API) describe() error {
	var doc struct {
		OpenAPI    string                                `json:"openapi"`
		Info       map[string]string                     `json:"info"`
		Servers    []map[string]string                   `json:"servers"`
		Tags       json.RawMessage                       `json:"tags"`
		Paths      map[string]map[string]json.RawMessage `json:"paths"`
		Components json.RawMessage                       `json:"components"`
	}
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		return fmt.Errorf("api: read the OpenAPI document: %w", err)
	}
	if a.prefix != "" {
		// Relative to the address of the document.
		doc.Servers = []map[string]string{{"url": a.prefix}}
	}
	if a.opts.Version != "" {
		doc.Info["version"] = a.opts.Version
	}
	has := map[string]bool{}
	for _, r := range a.routes {
		has[strings.TrimPrefix(r.Path, a.prefix)] = true
	}
	for path := range doc.Paths {
		if !has[path] {
			delete(doc.Paths, path)
		}
	}
	var err error
	if a.document, err = json.Marshal(doc); err != nil {
		return fmt.Errorf("api: write the OpenAPI document: %w", err)
	}
	return nil
}

// OpenAPI returns the OpenAPI 3.1 document as JSON. It must not be changed.
func (a *API) OpenAPI() []byte { return a.document }

func (a *API) serveOpenAPI(w http.ResponseWriter, r *http.Request) {
	sum := sha256.Sum256(a.document)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.document))
}
